/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Packets that the kernel frees as dropped. */
#ifndef FOVEA_DROP_H
#define FOVEA_DROP_H

#define IFNAMSIZ 16
#define NETDEV_ALIGN 32
#define SKB_DST_NOREF 1UL
/* skb->_nfct: a pointer, and enum ip_conntrack_info in its low bits. */
#define NFCT_INFO 7UL
#define IP_CT_IS_REPLY 3

/* Set by the loader: the inode of the agent's network namespace, and which
 * drop reasons mean no loss to anyone. Reasons of subsystems (from 65536 on)
 * are all told. */
const volatile __u32 host_netns = 0;
const volatile __u8 ignored_reasons[256] = {};
/* SKB_DROP_REASON_NO_SOCKET, or 0 as all reasons are where there are none. */
const volatile __u32 reason_no_socket = 0;

/* Where a packet was dropped, seen from the agent's namespace. */
struct place {
	__u32 ifindex;
	__u8 flags; /* FLAG_FROM_ENDPOINT, FLAG_LOCAL */
};

static __always_inline bool is_ignored(__u32 reason)
{
	__u64 i = reason;

	if (i >= sizeof(ignored_reasons))
		return false;
	/* Else clang drops the mask, and the verifier has lost the check. */
	barrier_var(i);
	return ignored_reasons[i & (sizeof(ignored_reasons) - 1)];
}

static __always_inline __u32 netns_of(struct net_device *dev)
{
	return BPF_CORE_READ(dev, nd_net.net, ns.inum);
}

/* The other end of a veth (drivers/net/veth.c: struct veth_priv starts with the
 * pointer to it), or NULL if dev is no veth. */
static __always_inline struct net_device *veth_peer(struct net_device *dev)
{
	const char *kind = BPF_CORE_READ(dev, rtnl_link_ops, kind);
	struct net_device___priv *with_priv = (void *)dev;
	struct net_device *peer = NULL;
	char name[5] = {};
	__u32 off;

	if (!kind || bpf_probe_read_kernel_str(name, sizeof(name), kind) < 0)
		return NULL;
	if (name[0] != 'v' || name[1] != 'e' || name[2] != 't' || name[3] != 'h')
		return NULL;
	if (bpf_core_field_exists(with_priv->priv))
		off = bpf_core_field_offset(with_priv->priv);
	else
		off = (bpf_core_type_size(struct net_device) + NETDEV_ALIGN - 1) & ~(NETDEV_ALIGN - 1);
	bpf_probe_read_kernel(&peer, sizeof(peer), (void *)dev + off);
	return peer;
}

/*
 * Finds the interface of this node that the packet belongs to: one in the
 * agent's own namespace, or the near end of a veth whose far end is in a pod.
 * Packets of other nodes that share the kernel have none.
 */
static __always_inline bool find_place(struct sk_buff *skb, struct place *at)
{
	struct net_device *dev = BPF_CORE_READ(skb, dev);
	bool received = false;
	struct link *l;

	if (!dev) {
		unsigned long dst = BPF_CORE_READ(skb, _skb_refdst) & ~SKB_DST_NOREF;

		if (dst)
			dev = BPF_CORE_READ((struct dst_entry *)dst, dev);
	} else {
		received = BPF_CORE_READ(dev, ifindex) == BPF_CORE_READ(skb, skb_iif);
	}
	if (!dev) {
		struct sock *sk = BPF_CORE_READ(skb, sk);

		return sk && BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum) == host_netns;
	}
	if (netns_of(dev) == host_netns) {
		at->ifindex = BPF_CORE_READ(dev, ifindex);
		/* What the node received there, the endpoint sent. */
		if (received)
			at->flags |= FLAG_FROM_ENDPOINT;
	} else {
		dev = veth_peer(dev);
		if (!dev || netns_of(dev) != host_netns)
			return false;
		at->ifindex = BPF_CORE_READ(dev, ifindex);
		if (!received)
			at->flags |= FLAG_FROM_ENDPOINT;
	}
	l = bpf_map_lookup_elem(&links, &at->ifindex);
	if (l && !l->network)
		at->flags |= FLAG_LOCAL;
	return true;
}

/* Parses the packet's headers in the skb's linear part; false if it is not IP
 * or has none. */
static __always_inline bool parse_dropped(struct sk_buff *skb, struct packet *p, __u32 *bytes)
{
	unsigned char *head = BPF_CORE_READ(skb, head), *data = BPF_CORE_READ(skb, data);
	__u16 network = BPF_CORE_READ(skb, network_header), mac = BPF_CORE_READ(skb, mac_header);
	__u32 len = BPF_CORE_READ(skb, len), linear = len - BPF_CORE_READ(skb, data_len);
	long pulled = data - (head + network);

	if (!network || network == 0xffff || pulled + (long)linear <= 0)
		return false;

	struct cursor c = { .linear = true, .head = head + network, .len = pulled + linear };

	*bytes = pulled + len;
	/* Frames are counted whole where they have a header. */
	if (mac != 0xffff && mac < network && network - mac <= ETH_HLEN + 4 * MAX_VLAN_TAGS)
		*bytes += network - mac;
	switch (parse_ip(&c, 0, BPF_CORE_READ(skb, protocol), p)) {
	case PARSED:
		return true;
	case PARSED_MALFORMED:
		/* Its addresses are known, but what follows is cut or wrong. */
		p->key.flags |= FLAG_NO_PORTS;
		p->key.sport = p->key.dport = 0;
		return p->key.dst.words[3];
	default:
		return false;
	}
}

static __always_inline struct verdict reply_of_dropped(struct sk_buff *skb, const struct packet *p)
{
	const struct conn_key *k = &p->key;
	unsigned long nfct = 0;
	struct conn_key r;
	struct conn *c;

	if (k->flags & FLAG_NO_PORTS)
		return known(REPLY_UNKNOWN);
	if (k->protocol == PROTO_TCP && p->tcp_flags & TCP_SYN)
		return known(p->tcp_flags & TCP_ACK ? REPLY_YES : REPLY_NO);
	if (is_icmp(k))
		return known(is_echo_reply(k) ? REPLY_YES : REPLY_NO);
	c = find_conn(k);
	if (c && c->reply != REPLY_UNKNOWN)
		return (struct verdict){ .reply = c->reply, .guessed = c->guessed };
	reverse(k, &r);
	c = find_conn(&r);
	if (c && c->reply != REPLY_UNKNOWN)
		return (struct verdict){ .reply = opposite(c->reply), .guessed = c->guessed };
	if (bpf_core_field_exists(skb->_nfct))
		nfct = BPF_CORE_READ(skb, _nfct);
	if (nfct & ~NFCT_INFO)
		return known((nfct & NFCT_INFO) >= IP_CT_IS_REPLY ? REPLY_YES : REPLY_NO);
	return guess_by_ports(k);
}

static __always_inline void dropped(struct sk_buff *skb, void *location, __u32 reason, bool has_reasons)
{
	struct packet p = {};
	struct place at = {};
	struct event *e;
	__u32 bytes;

	__be16 protocol = BPF_CORE_READ(skb, protocol);

	if (protocol != bpf_htons(ETH_P_IP) && protocol != bpf_htons(ETH_P_IPV6))
		return;
	if (is_ignored(reason) || !find_place(skb, &at) || !parse_dropped(skb, &p, &bytes))
		return;
	/* Who pings by a raw socket has taken a copy of the answer. */
	if (reason == reason_no_socket && is_echo_reply(&p.key))
		return;
	/* Kernels without reasons free what they have received of ICMPv6 as they
	 * free what they drop. */
	if (!has_reasons && p.key.protocol == PROTO_ICMPV6)
		return;
	p.key.ifindex = at.ifindex;
	p.key.flags |= at.flags & FLAG_KEY_MASK;

	struct verdict v = reply_of_dropped(skb, &p);
	__u16 mac = BPF_CORE_READ(skb, mac_header);

	e = reserve();
	if (!e)
		return;
	fill(e, &p.key);
	e->flags |= at.flags;
	if (v.guessed)
		e->flags |= FLAG_GUESSED;
	e->packets = 1;
	e->bytes = bytes;
	e->location = (__u64)location;
	e->drop_reason = reason;
	e->tcp_flags = p.tcp_flags;
	e->kind = EVENT_DROP;
	e->cause = CAUSE_PACKET;
	e->reply = v.reply;
	__builtin_memset(e->src_mac, 0, 6);
	__builtin_memset(e->dst_mac, 0, 6);
	if (mac != 0xffff && mac < BPF_CORE_READ(skb, network_header)) {
		unsigned char *frame = BPF_CORE_READ(skb, head) + mac;

		bpf_probe_read_kernel(e->dst_mac, 6, frame);
		bpf_probe_read_kernel(e->src_mac, 6, frame + 6);
	}
	submit(e);
}

SEC("tp_btf/kfree_skb")
int kfree_skb(__u64 *ctx)
{
	dropped((struct sk_buff *)ctx[0], (void *)ctx[1], ctx[2], true);
	return 0;
}

/* Before 5.17 the kernel gave no reason. */
SEC("tp_btf/kfree_skb")
int kfree_skb_no_reason(__u64 *ctx)
{
	dropped((struct sk_buff *)ctx[0], (void *)ctx[1], 0, false);
	return 0;
}

#endif
