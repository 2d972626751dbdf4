/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the kernel's own connection tracking knows (net/netfilter/nf_conntrack_bpf.c). */
#ifndef FOVEA_CONNTRACK_H
#define FOVEA_CONNTRACK_H

extern struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *, struct bpf_sock_tuple *, __u32, struct bpf_ct_opts *,
					 __u32) __ksym __weak;
extern void bpf_ct_release(struct nf_conn *) __ksym __weak;

/* nf_conn's direction: enum ip_conntrack_dir. */
#define CT_DIR_ORIGINAL 0

/* Whether the tuple of k, or with swap its reverse, is tracked: REPLY_UNKNOWN
 * if not, else which way packets with that tuple go. */
static __always_inline __u8 ct_lookup(struct __sk_buff *skb, const struct conn_key *k, bool ipv6, bool swap)
{
	struct bpf_ct_opts opts = { .netns_id = -1, .l4proto = k->protocol };
	const struct address *s = swap ? &k->dst : &k->src, *d = swap ? &k->src : &k->dst;
	__u16 sport = bpf_htons(swap ? k->dport : k->sport), dport = bpf_htons(swap ? k->sport : k->dport);
	struct bpf_sock_tuple t = {};
	struct nf_conn *ct;

	if (ipv6) {
		__builtin_memcpy(t.ipv6.saddr, s, sizeof(*s));
		__builtin_memcpy(t.ipv6.daddr, d, sizeof(*d));
		t.ipv6.sport = sport;
		t.ipv6.dport = dport;
		ct = bpf_skb_ct_lookup(skb, &t, sizeof(t.ipv6), &opts, sizeof(opts));
	} else {
		t.ipv4.saddr = s->words[3];
		t.ipv4.daddr = d->words[3];
		t.ipv4.sport = sport;
		t.ipv4.dport = dport;
		ct = bpf_skb_ct_lookup(skb, &t, sizeof(t.ipv4), &opts, sizeof(opts));
	}
	if (!ct)
		return REPLY_UNKNOWN;
	bpf_ct_release(ct);
	return opts.dir == CT_DIR_ORIGINAL ? REPLY_NO : REPLY_YES;
}

/*
 * Which way a packet goes, by the kernel's tracking of the namespace that its
 * interface is in. Behind address translation a packet has the addresses of
 * one direction's tuple at one end only; its reverse is then the other's.
 */
static __always_inline __u8 reply_of_conntrack(struct __sk_buff *skb, const struct conn_key *k, bool ipv6)
{
	__u8 reply;

	if (k->protocol != PROTO_TCP && k->protocol != PROTO_UDP)
		return REPLY_UNKNOWN;
	reply = ct_lookup(skb, k, ipv6, false);
	if (reply == REPLY_UNKNOWN)
		reply = opposite(ct_lookup(skb, k, ipv6, true));
	return reply;
}

#endif
