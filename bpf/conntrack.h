/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the kernel's own connection tracking knows (net/netfilter/nf_conntrack_bpf.c). */
#ifndef FOVEA_CONNTRACK_H
#define FOVEA_CONNTRACK_H

extern struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *, struct bpf_sock_tuple *, __u32, struct bpf_ct_opts *,
					 __u32) __ksym __weak;
extern void bpf_ct_release(struct nf_conn *) __ksym __weak;

/* nf_conn's direction: enum ip_conntrack_dir. */
#define CT_DIR_ORIGINAL 0
/* Of ip_ct_tcp_state.flags. */
#define IP_CT_TCP_FLAG_BE_LIBERAL 0x08

/* The entry of a tuple, or with swap of its reverse, which has to be released; and
 * which direction's the tuple is. */
static __always_inline struct nf_conn *find_tracked(struct __sk_buff *skb, const struct end *src, const struct end *dst,
						    __u8 protocol, bool ipv6, bool swap, __u8 *dir)
{
	struct bpf_ct_opts opts = { .netns_id = -1, .l4proto = protocol };
	const struct end *s = swap ? dst : src, *d = swap ? src : dst;
	struct bpf_sock_tuple t = {};
	struct nf_conn *ct;

	if (ipv6) {
		__builtin_memcpy(t.ipv6.saddr, &s->addr, sizeof(s->addr));
		__builtin_memcpy(t.ipv6.daddr, &d->addr, sizeof(d->addr));
		t.ipv6.sport = bpf_htons(s->port);
		t.ipv6.dport = bpf_htons(d->port);
		ct = bpf_skb_ct_lookup(skb, &t, sizeof(t.ipv6), &opts, sizeof(opts));
	} else {
		t.ipv4.saddr = s->addr.words[3];
		t.ipv4.daddr = d->addr.words[3];
		t.ipv4.sport = bpf_htons(s->port);
		t.ipv4.dport = bpf_htons(d->port);
		ct = bpf_skb_ct_lookup(skb, &t, sizeof(t.ipv4), &opts, sizeof(opts));
	}
	*dir = opts.dir;
	return ct;
}

/*
 * Whether the kernel came upon a TCP connection midway, and took whoever it saw
 * first for the one who began: it is lenient with both ends then (tcp_new in
 * net/netfilter/nf_conntrack_proto_tcp.c).
 */
static __always_inline bool picked_up(struct nf_conn *ct, __u8 protocol)
{
	return protocol == PROTO_TCP && BPF_CORE_READ(ct, proto.tcp.seen[0].flags) & IP_CT_TCP_FLAG_BE_LIBERAL &&
	       BPF_CORE_READ(ct, proto.tcp.seen[1].flags) & IP_CT_TCP_FLAG_BE_LIBERAL;
}

/* Whether the tuple of k, or with swap its reverse, is tracked: REPLY_UNKNOWN
 * if not, else which way packets with that tuple go. */
static __always_inline __u8 ct_lookup(struct __sk_buff *skb, const struct conn_key *k, bool ipv6, bool swap)
{
	struct end src = { .addr = k->src, .port = k->sport }, dst = { .addr = k->dst, .port = k->dport };
	struct nf_conn *ct;
	bool midway;
	__u8 dir;

	ct = find_tracked(skb, &src, &dst, k->protocol, ipv6, swap, &dir);
	if (!ct)
		return REPLY_UNKNOWN;
	midway = picked_up(ct, k->protocol);
	bpf_ct_release(ct);
	if (midway)
		return REPLY_UNKNOWN;
	return dir == CT_DIR_ORIGINAL ? REPLY_NO : REPLY_YES;
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

static __always_inline void set_address(struct address *a, const union nf_inet_addr *from, bool ipv6)
{
	if (ipv6) {
		__builtin_memcpy(a, from, sizeof(*a));
		return;
	}
	a->words[0] = a->words[1] = 0;
	a->words[2] = bpf_htonl(0xffff);
	a->words[3] = from->all[0];
}

/* The source and destination of a tuple: of one direction. */
static __always_inline void read_tuple(struct nf_conntrack_tuple *t, struct end *src, struct end *dst, bool ipv6)
{
	union nf_inet_addr a;

	BPF_CORE_READ_INTO(&a, t, src.u3);
	set_address(&src->addr, &a, ipv6);
	src->port = bpf_ntohs(BPF_CORE_READ(t, src.u.all));
	BPF_CORE_READ_INTO(&a, t, dst.u3);
	set_address(&dst->addr, &a, ipv6);
	dst->port = bpf_ntohs(BPF_CORE_READ(t, dst.u.all));
}

/*
 * Looks a connection up by the tuple that its packets have at some interface. One
 * end may be translated there already and the other not, so it is tried as either
 * direction's.
 */
static __always_inline void translate_one(struct __sk_buff *skb, struct translation *t)
{
	bool ipv6 = !is_mapped(&t->src.addr) || !is_mapped(&t->dst.addr);
	struct nf_conn *ct;
	__u8 dir;

	ct = find_tracked(skb, &t->src, &t->dst, t->protocol, ipv6, false, &dir);
	if (!ct)
		ct = find_tracked(skb, &t->src, &t->dst, t->protocol, ipv6, true, &dir);
	if (!ct)
		return;
	t->found = 1;
	read_tuple(&ct->tuplehash[0].tuple, &t->sent_src, &t->sent_dst, ipv6);
	/* The other tuple is of the answers. */
	read_tuple(&ct->tuplehash[1].tuple, &t->went_dst, &t->went_src, ipv6);
	bpf_ct_release(ct);
}

#endif
