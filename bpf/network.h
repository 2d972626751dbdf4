/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packets between the node and the network. Most that pass there are of pods and
 * were told of at theirs: here only those are told whose one end, in truth, is the
 * node itself.
 */
#ifndef FOVEA_NETWORK_H
#define FOVEA_NETWORK_H

/* Set by the loader: whether the packets that carry an overlay's are told. */
const volatile __u8 show_overlay = 0;

#define PORT_VXLAN 4789
#define PORT_VXLAN_LINUX 8472
#define PORT_GENEVE 6081
#define PORT_WIREGUARD 51820
#define PORT_WIREGUARD_CILIUM 51871
#define PORT_IPSEC_NAT 4500
#define PROTO_IPIP 4
#define PROTO_IPV6 41
#define PROTO_GRE 47
#define PROTO_ESP 50

/* So long a connection of others is taken for theirs without another look, in
 * seconds: its ports may be the node's next. */
#define OTHERS_TIMEOUT 30

/* The addresses that the node itself has. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct address);
	__type(value, __u8);
} node_addresses SEC(".maps");

extern void *bpf_cast_to_kern_ctx(void *) __ksym;

static __always_inline bool is_node(const struct address *a)
{
	return bpf_map_lookup_elem(&node_addresses, a);
}

static __always_inline bool is_overlay_port(__u16 port)
{
	return port == PORT_VXLAN || port == PORT_VXLAN_LINUX || port == PORT_GENEVE || port == PORT_WIREGUARD ||
	       port == PORT_WIREGUARD_CILIUM || port == PORT_IPSEC_NAT;
}

/* VXLAN and Geneve send from any port, the others from their own. */
static __always_inline bool carries_overlay(const struct conn_key *k)
{
	switch (k->protocol) {
	case PROTO_UDP:
		return is_overlay_port(k->dport) || is_overlay_port(k->sport);
	case PROTO_IPIP:
	case PROTO_IPV6:
	case PROTO_GRE:
	case PROTO_ESP:
	case PROTO_AH:
		return true;
	default:
		return false;
	}
}

/* How neighbours find each other (RFC 4861, RFC 3810): as ARP, no flow. */
static __always_inline bool finds_neighbours(const struct conn_key *k)
{
	return k->protocol == PROTO_ICMPV6 && ((k->sport >= 130 && k->sport <= 137) || k->sport == 143);
}

/* Whether an end of a tracked connection is the node: the client, or the server
 * that it was translated to. */
static __always_inline enum scope scope_of_tracked(struct nf_conn *ct, bool ipv6)
{
	struct nf_conntrack_tuple *original = &ct->tuplehash[0].tuple, *reply = &ct->tuplehash[1].tuple;
	struct end client, server, unused;

	read_tuple(original, &client, &unused, ipv6);
	read_tuple(reply, &server, &unused, ipv6);
	return is_node(&client.addr) || is_node(&server.addr) ? SCOPE_NODE : SCOPE_OTHERS;
}

/* By the connection that the kernel has put on a packet, on its way out. */
static __always_inline enum scope scope_of_skb(struct __sk_buff *skb, bool ipv6)
{
	struct sk_buff *kernel = bpf_cast_to_kern_ctx(skb);
	struct nf_conn *ct;

	if (!bpf_core_field_exists(kernel->_nfct))
		return SCOPE_NODE;
	ct = (void *)(BPF_CORE_READ(kernel, _nfct) & ~NFCT_INFO);
	return ct ? scope_of_tracked(ct, ipv6) : SCOPE_NODE;
}

/* By the connection that the kernel knows by the packet's ends. */
static __always_inline enum scope scope_of_ends(struct __sk_buff *skb, const struct conn_key *k, bool ipv6)
{
	struct end src = { .addr = k->src, .port = k->sport }, dst = { .addr = k->dst, .port = k->dport };
	enum scope scope;
	struct nf_conn *ct;
	__u8 dir;

	ct = find_tracked(skb, &src, &dst, k->protocol, ipv6, false, &dir);
	if (!ct)
		ct = find_tracked(skb, &src, &dst, k->protocol, ipv6, true, &dir);
	if (!ct)
		return SCOPE_OPEN;
	scope = scope_of_tracked(ct, ipv6);
	bpf_ct_release(ct);
	return scope;
}

static __always_inline struct conn *find_answers(const struct conn_key *k)
{
	struct conn_key r;

	reverse(k, &r);
	if (is_icmp(k)) {
		/* Only of an echo are there any. */
		if (!is_echo_reply(k))
			return NULL;
		r.sport = k->protocol == PROTO_ICMP ? 8 : 128;
		r.dport = 0;
	}
	return find_conn(&r);
}

/*
 * Whose the connection of a packet is. A packet that comes in is seen before the
 * kernel tracks and translates it, so that of its first one nothing is known: it
 * may be for a pod, by a port of a service.
 */
static __always_inline enum scope scope_of(struct __sk_buff *skb, const struct packet *p, bool first)
{
	const struct conn_key *k = &p->key;
	bool has_ports = k->protocol == PROTO_TCP || k->protocol == PROTO_UDP;
	enum scope scope;
	struct conn *back;

	if (k->flags & FLAG_FROM_ENDPOINT)
		return scope_of_skb(skb, p->ipv6);
	back = find_answers(k);
	if (back && back->scope != SCOPE_OPEN && !(p->tcp_flags & TCP_SYN && !(p->tcp_flags & TCP_ACK)))
		return back->scope;
	/* Whose an error is, only the packet tells that it quotes. */
	if (k->protocol == PROTO_ICMP && (k->sport == 3 || k->sport == 11 || k->sport == 12))
		return SCOPE_OTHERS;
	if (k->protocol == PROTO_ICMPV6 && k->sport < 128)
		return SCOPE_OTHERS;
	if (!has_ports || k->flags & FLAG_NO_PORTS)
		return SCOPE_NODE;
	scope = scope_of_ends(skb, k, p->ipv6);
	return scope == SCOPE_OPEN && !first ? SCOPE_NODE : scope;
}

/* Which way a connection goes that was seen before the kernel tracked it. */
static __always_inline void ask_reply(struct __sk_buff *skb, const struct packet *p, struct conn *c)
{
	__u8 reply = REPLY_UNKNOWN;

	if (!(p->key.flags & FLAG_NO_PORTS))
		reply = reply_of_conntrack(skb, &p->key, p->ipv6);
	if (reply == REPLY_UNKNOWN)
		return;
	c->reply = reply;
	c->guessed = 0;
}

/* Says whose a known connection is, and tells what waited for that. */
static __always_inline void set_scope(const struct conn_key *k, struct conn *c, enum scope scope)
{
	bool open = c->scope == SCOPE_OPEN;

	c->scope = scope;
	if (open && scope == SCOPE_NODE)
		report(k, c, 0, c->tcp_flags, CAUSE_NEW);
}

/* The same of its other direction, if that waits. */
static __always_inline void set_scope_of_answers(const struct conn_key *k, enum scope scope)
{
	struct conn *back = find_answers(k);
	struct conn_key r;

	if (!back || back->scope != SCOPE_OPEN)
		return;
	reverse(k, &r);
	set_scope(&r, back, scope);
}

static __always_inline bool is_open(const struct packet *p, const struct conn *c, __u32 now)
{
	if (c->scope == SCOPE_OPEN || (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)
		return true;
	return c->scope == SCOPE_OTHERS && elapsed(now, c->seen_at) > OTHERS_TIMEOUT * hz;
}

#endif
