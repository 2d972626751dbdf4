//go:build ignore

// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What the programs for packets are measured against and with: a minimal
 * program that counts, and a harness that varies the packet and runs another
 * program on it.
 */
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#define TC_ACT_UNSPEC (-1)
#define FLOWS 65536

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct key {
	__u32 saddr, daddr;
	__u16 sport, dport;
	__u32 ifindex;
	__u32 protocol;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * FLOWS);
	__type(key, struct key);
	__type(value, __u64);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} target SEC(".maps");

struct headers {
	__u8 macs[12];
	__u16 ethertype;
	__u8 version_ihl, tos;
	__u16 tot_len, id, frag_off;
	__u8 ttl, protocol;
	__u16 check;
	__u32 saddr, daddr;
	__u16 sport, dport;
} __attribute__((packed));

/* Parse, one look-up, one counter: the least that a program that counts
 * connections does. */
SEC("tc")
int minimal(struct __sk_buff *skb)
{
	struct headers *h = (void *)(long)skb->data;
	struct key k = {};
	__u64 one = 1, *count;

	if ((void *)(h + 1) > (void *)(long)skb->data_end || h->ethertype != bpf_htons(0x0800) ||
	    h->version_ihl != 0x45 || (h->protocol != 6 && h->protocol != 17))
		return TC_ACT_UNSPEC;
	k.saddr = h->saddr;
	k.daddr = h->daddr;
	k.sport = h->sport;
	k.dport = h->dport;
	k.ifindex = skb->ifindex;
	k.protocol = h->protocol;
	count = bpf_map_lookup_elem(&counters, &k);
	if (count)
		__sync_fetch_and_add(count, 1);
	else
		bpf_map_update_elem(&counters, &k, &one, BPF_NOEXIST);
	return TC_ACT_UNSPEC;
}

SEC("tc")
int nothing(struct __sk_buff *skb)
{
	return TC_ACT_UNSPEC;
}

/* One connection. */
SEC("tc")
int hot(struct __sk_buff *skb)
{
	bpf_tail_call(skb, &target, 0);
	return TC_ACT_UNSPEC;
}

/* One of FLOWS connections at random. */
SEC("tc")
int cold(struct __sk_buff *skb)
{
	struct headers *h = (void *)(long)skb->data;

	if ((void *)(h + 1) <= (void *)(long)skb->data_end) {
		__u32 n = bpf_get_prandom_u32() & (FLOWS - 1);

		h->saddr = bpf_htonl(0x0a000000 | n >> 4);
		h->sport = bpf_htons(32768 + (n & 15));
	}
	bpf_tail_call(skb, &target, 0);
	return TC_ACT_UNSPEC;
}
