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
/* include/linux/netdevice.h: NETDEV_HASHENTRIES, and how many of a list are looked
 * at: an interface that is further down is not found. */
#define INDEX_LISTS 256
#define INDEX_LIST_LENGTH 32

/* Set by the loader: the inode of the agent's network namespace, and which
 * drop reasons mean no loss to anyone. Reasons of subsystems (from 65536 on)
 * are all told. */
const volatile __u32 host_netns = 0;
const volatile __u8 ignored_reasons[256] = {};
/* SKB_DROP_REASON_NO_SOCKET, or 0 as all reasons are where there are none. */
const volatile __u32 reason_no_socket = 0;
/* SKB_DROP_REASON_NOT_SPECIFIED, and where it is a loss though it is ignored elsewhere;
 * those from the first that starts at 0 on are none. */
const volatile __u32 reason_not_specified = 0;
const volatile struct losing losing[MAX_LOSING] = {};
/* SKB_DROP_REASON_TCP_LISTEN_OVERFLOW. */
const volatile __u32 reason_listen_overflow = 0;

/* Packets that are dropped alike are told at once, and then counted and told about so
 * often, in seconds, until there were none for so long. */
#define DROPS_INTERVAL 1
#define DROPS_QUIET 2
#define EEXIST 17

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct drop_key);
	__type(value, struct drop_count);
} drops SEC(".maps");

/* Of those that find no room there. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct drop_key);
	__type(value, struct drop_count);
} folded_drops SEC(".maps");

/* Where a packet was dropped, seen from the agent's namespace. */
struct place {
	__u32 ifindex;
	__u8 flags; /* FLAG_FROM_ENDPOINT, FLAG_LOCAL */
	__u8 arriving; /* known to have come in at its device */
};

static __always_inline bool is_losing(__u64 location, struct place *at)
{
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < MAX_LOSING && losing[i].start; i++) {
		if (location < losing[i].start || location >= losing[i].end)
			continue;
		at->arriving = losing[i].arriving;
		return true;
	}
	return false;
}

static __always_inline bool is_ignored(__u32 reason, __u64 location, struct place *at)
{
	__u64 i = reason;

	if (i >= sizeof(ignored_reasons))
		return false;
	/* Else clang drops the mask, and the verifier has lost the check. */
	barrier_var(i);
	if (!ignored_reasons[i & (sizeof(ignored_reasons) - 1)])
		return false;
	return reason != reason_not_specified || !is_losing(location, at);
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

/* The packet's device, or NULL if something else is there, as in UDP's queues
 * (include/linux/skbuff.h: dev_scratch): addresses of the kernel are below 0. */
static __always_inline struct net_device *device_of(struct sk_buff *skb)
{
	struct net_device *dev = BPF_CORE_READ(skb, dev);

	return (long)dev < 0 ? dev : NULL;
}

static __always_inline struct net_device *device_by_index(struct net *net, int ifindex)
{
	struct hlist_node **lists = BPF_CORE_READ(net, dev_index_head), *n = NULL;
	struct net_device *dev;

	bpf_probe_read_kernel(&n, sizeof(n), lists + (ifindex & (INDEX_LISTS - 1)));
#pragma clang loop unroll(disable)
	for (int i = 0; n && i < INDEX_LIST_LENGTH; i++) {
		dev = (void *)n - bpf_core_field_offset(struct net_device, index_hlist);
		if (BPF_CORE_READ(dev, ifindex) == ifindex)
			return dev;
		n = BPF_CORE_READ(n, next);
	}
	return NULL;
}

/*
 * Finds the device of a packet that does not have it any more, as those that TCP has
 * taken (net/ipv4/tcp_ipv4.c: tcp_v4_rcv): the one that it came in by, of which the
 * index is left, or the one that its route leads to. What is received for the host
 * itself has a route to the loopback interface. Sk is the socket that it was for, if
 * known. True without a device if only the namespace is known, and is the agent's.
 */
static __always_inline bool find_device(struct sk_buff *skb, struct sock *sk, struct net_device **dev)
{
	unsigned long dst = BPF_CORE_READ(skb, _skb_refdst) & ~SKB_DST_NOREF;
	int ifindex = BPF_CORE_READ(skb, skb_iif);
	struct net_device *out = NULL;
	struct net *net = NULL;

	if (dst)
		out = BPF_CORE_READ((struct dst_entry *)dst, dev);
	if (!sk)
		sk = BPF_CORE_READ(skb, sk);
	if (sk)
		net = BPF_CORE_READ(sk, __sk_common.skc_net.net);
	else if (out)
		net = BPF_CORE_READ(out, nd_net.net);
	if (!net)
		return false;
	*dev = ifindex ? device_by_index(net, ifindex) : out;
	return *dev || BPF_CORE_READ(net, ns.inum) == host_netns;
}

/*
 * Finds the interface of this node that the packet belongs to: one in the
 * agent's own namespace, or the near end of a veth whose far end is in a pod.
 * Packets of other nodes that share the kernel have none.
 */
static __always_inline bool find_place(struct sk_buff *skb, struct sock *sk, struct place *at)
{
	struct net_device *dev = device_of(skb);
	bool received;
	struct link *l;

	if (!dev && !find_device(skb, sk, &dev))
		return false;
	if (!dev)
		return true;
	received = at->arriving || BPF_CORE_READ(dev, ifindex) == BPF_CORE_READ(skb, skb_iif);
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

/* What connection tracking has put into the packet: 0 if it has not taken it. */
static __always_inline unsigned long tracked_as(struct sk_buff *skb)
{
	return bpf_core_field_exists(skb->_nfct) ? BPF_CORE_READ(skb, _nfct) : 0;
}

static __always_inline struct verdict reply_of_dropped(struct sk_buff *skb, const struct packet *p)
{
	const struct conn_key *k = &p->key;
	unsigned long nfct;
	struct conn_key r;
	struct conn *c;

	if (k->flags & FLAG_NO_PORTS)
		return known(REPLY_UNKNOWN);
	if (k->protocol == PROTO_TCP && p->tcp_flags & TCP_SYN)
		return known(p->tcp_flags & TCP_ACK ? REPLY_YES : REPLY_NO);
	if (is_icmp(k))
		return reply_of_icmp(k);
	c = find_conn(k);
	if (c && c->reply != REPLY_UNKNOWN)
		return (struct verdict){ .reply = c->reply, .guessed = c->guessed };
	reverse(k, &r);
	c = find_conn(&r);
	if (c && c->reply != REPLY_UNKNOWN)
		return (struct verdict){ .reply = opposite(c->reply), .guessed = c->guessed };
	nfct = tracked_as(skb);
	if (nfct & ~NFCT_INFO)
		return known((nfct & NFCT_INFO) >= IP_CT_IS_REPLY ? REPLY_YES : REPLY_NO);
	return guess_by_ports(k);
}

/* What is told of a dropped packet beside its headers. */
static __always_inline void describe(struct sk_buff *skb, const struct packet *p, const struct place *at,
				     struct drop_count *d)
{
	struct verdict v = reply_of_dropped(skb, p);
	__u16 mac = BPF_CORE_READ(skb, mac_header);

	d->flags = at->flags;
	if (!tracked_as(skb))
		d->flags |= FLAG_UNTRACKED;
	if (v.guessed)
		d->flags |= FLAG_GUESSED;
	d->reply = v.reply;
	if (mac != 0xffff && mac < BPF_CORE_READ(skb, network_header)) {
		unsigned char *frame = BPF_CORE_READ(skb, head) + mac;

		bpf_probe_read_kernel(d->dst_mac, 6, frame);
		bpf_probe_read_kernel(d->src_mac, 6, frame + 6);
	}
}

/* False if there is no room for an event. */
static __always_inline bool tell_dropped(const struct drop_key *k, const struct drop_count *d, __u64 packets, __u64 bytes,
					 enum event_cause cause)
{
	struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);

	if (!e)
		return false;
	fill(e, &k->conn);
	e->flags |= d->flags;
	e->packets = packets;
	e->bytes = bytes;
	e->location = k->location;
	e->drop_reason = k->reason;
	e->tcp_flags = d->tcp_flags;
	e->kind = EVENT_DROP;
	e->cause = cause;
	if (cause == CAUSE_IDLE)
		e->seen -= (__u64)elapsed(jiffies(), d->seen_at) * (1000000000 / hz);
	e->reply = d->reply;
	__builtin_memcpy(e->src_mac, d->src_mac, 6);
	__builtin_memcpy(e->dst_mac, d->dst_mac, 6);
	submit(e);
	return true;
}

/*
 * Tells what was counted, unless another CPU does. No lock can be had here: what is
 * told is taken out of the counts, and put back if there is no room.
 */
static __always_inline void tell_counted(const struct drop_key *k, struct drop_count *d, enum event_cause cause)
{
	__u32 since = d->reported_at, now = jiffies();
	__u64 packets, bytes;

	if (elapsed(now, since) < DROPS_INTERVAL * hz || !d->packets)
		return;
	if (__sync_val_compare_and_swap(&d->reported_at, since, now) != since)
		return;
	packets = __sync_lock_test_and_set(&d->packets, 0);
	bytes = __sync_lock_test_and_set(&d->bytes, 0);
	if (!packets)
		return;
	if (tell_dropped(k, d, packets, bytes, cause)) {
		d->tcp_flags = 0;
		return;
	}
	__sync_fetch_and_add(&d->packets, packets);
	__sync_fetch_and_add(&d->bytes, bytes);
}

static __always_inline void count_dropped(const struct drop_key *k, struct drop_count *d, __u32 bytes, __u16 tcp_flags)
{
	__sync_fetch_and_add(&d->bytes, bytes);
	__sync_fetch_and_add(&d->packets, 1);
	d->seen_at = jiffies();
	if (tcp_flags & ~d->tcp_flags)
		d->tcp_flags |= tcp_flags;
	tell_counted(k, d, CAUSE_INTERVAL);
}

/* Counts a packet under a key, and tells at once of the first. False if the map has
 * no room for another key. */
static __always_inline bool fold(void *map, const struct drop_key *k, const struct drop_count *fresh, __u32 bytes)
{
	struct drop_count *d = bpf_map_lookup_elem(map, k);
	__u32 now = jiffies();
	long err;

	if (!d) {
		err = bpf_map_update_elem(map, k, fresh, BPF_NOEXIST);
		if (err && err != -EEXIST)
			return false;
		d = bpf_map_lookup_elem(map, k);
		if (!d)
			return false;
		if (!err && tell_dropped(k, fresh, 1, bytes, CAUSE_PACKET)) {
			d->reported_at = d->seen_at = now;
			d->tcp_flags = 0;
			return true;
		}
	}
	count_dropped(k, d, bytes, fresh->tcp_flags);
	return true;
}

/*
 * Counts a packet that was dropped. In a storm from many sources there is no room
 * for each: they are counted by what they were sent to, and if that is too much too,
 * by where they were dropped. Ends that are left out are unspecified.
 */
static __always_inline void fold_dropped(struct drop_key *k, struct drop_count *fresh, __u32 bytes)
{
	struct address unspecified = {};

	if (fold(&drops, k, fresh, bytes))
		return;
	if (is_ip4(&k->conn))
		unspecified.words[2] = bpf_htonl(0xffff);
	k->conn.src = unspecified;
	k->conn.sport = k->conn.id = 0;
	__builtin_memset(fresh->src_mac, 0, 6);
	if (fold(&folded_drops, k, fresh, bytes))
		return;
	k->conn.dst = unspecified;
	k->conn.dport = 0;
	__builtin_memset(fresh->dst_mac, 0, 6);
	if (!fold(&folded_drops, k, fresh, bytes))
		COUNT(lost);
}

/* Tells of a dropped packet. Sk is the socket that it was for, or NULL if that is not
 * known. */
static __always_inline void dropped(struct sk_buff *skb, struct sock *sk, __u64 location, __u32 reason,
				    bool has_reasons)
{
	struct drop_count fresh = {};
	struct drop_key k = {};
	struct packet p = {};
	struct place at = {};
	__u32 bytes;

	__be16 protocol = BPF_CORE_READ(skb, protocol);

	if (protocol != bpf_htons(ETH_P_IP) && protocol != bpf_htons(ETH_P_IPV6))
		return;
	if (is_ignored(reason, location, &at) || !find_place(skb, sk, &at) || !parse_dropped(skb, &p, &bytes))
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
	k.conn = p.key;
	k.reason = reason;
	k.location = location;
	fresh.tcp_flags = p.tcp_flags;
	fresh.seen_at = jiffies();
	fresh.reported_at = fresh.seen_at - DROPS_INTERVAL * hz;
	describe(skb, &p, &at, &fresh);
	if (has_reasons)
		fold_dropped(&k, &fresh, bytes);
	else if (!tell_dropped(&k, &fresh, 1, bytes, CAUSE_PACKET))
		COUNT(lost);
}

/* Since 6.11 the kernel also tells the socket. */
SEC("tp_btf/kfree_skb")
int kfree_skb_of_socket(__u64 *ctx)
{
	dropped((struct sk_buff *)ctx[0], (struct sock *)ctx[3], ctx[1], ctx[2], true);
	return 0;
}

SEC("tp_btf/kfree_skb")
int kfree_skb(__u64 *ctx)
{
	dropped((struct sk_buff *)ctx[0], NULL, ctx[1], ctx[2], true);
	return 0;
}

/* Before 5.17 the kernel gave no reason, and some of these have no exchange of a
 * value to take counts by: each packet is told. */
SEC("tp_btf/kfree_skb")
int kfree_skb_no_reason(__u64 *ctx)
{
	dropped((struct sk_buff *)ctx[0], NULL, ctx[1], 0, false);
	return 0;
}

/* As sk_acceptq_is_full of include/net/sock.h has it. */
static __always_inline bool has_full_backlog(struct sock *listener)
{
	return BPF_CORE_READ(listener, sk_ack_backlog) > BPF_CORE_READ(listener, sk_max_ack_backlog);
}

/*
 * Who asks for a connection that a listener has no room for is not answered, and the
 * SYN is freed as if it was used (net/ipv4/tcp_input.c). This runs for each SYN that
 * finds a listener, and for nothing else.
 */
SEC("fentry/tcp_conn_request")
int full_backlog_syn(__u64 *ctx)
{
	struct sock *listener = (struct sock *)ctx[2];

	if (has_full_backlog(listener))
		dropped((struct sk_buff *)ctx[3], listener, bpf_get_func_ip(ctx), reason_listen_overflow, true);
	return 0;
}

/*
 * The ACK that ends the handshake, when there is no room any more: the request is
 * marked, and kept for another try (net/ipv4/tcp_minisocks.c). Since 6.15 the kernel
 * has a reason for it; before, the function has five arguments.
 */
SEC("fexit/tcp_check_req")
int full_backlog_ack(__u64 *ctx)
{
	struct sock *listener = (struct sock *)ctx[0];
	struct inet_request_sock *request = (struct inet_request_sock *)ctx[2];

	if (!ctx[5] && has_full_backlog(listener) && BPF_CORE_READ_BITFIELD_PROBED(request, acked))
		dropped((struct sk_buff *)ctx[1], listener, bpf_get_func_ip(ctx), reason_listen_overflow, true);
	return 0;
}

/* Run over what was counted about once a second. */
static __always_inline int sweep_dropped(void *map, const void *key)
{
	struct drop_count *d;
	struct drop_key k;

	if (!key)
		return 0;
	__builtin_memcpy(&k, key, sizeof(k));
	d = bpf_map_lookup_elem(map, &k);
	if (!d)
		return 0;
	if (d->packets)
		tell_counted(&k, d, CAUSE_IDLE);
	else if (elapsed(jiffies(), d->seen_at) >= DROPS_QUIET * hz)
		bpf_map_delete_elem(map, &k);
	return 0;
}

SEC("iter/bpf_map_elem")
int sweep_drops(struct bpf_iter__bpf_map_elem *ctx)
{
	return sweep_dropped(&drops, ctx->key);
}

SEC("iter/bpf_map_elem")
int sweep_folded_drops(struct bpf_iter__bpf_map_elem *ctx)
{
	return sweep_dropped(&folded_drops, ctx->key);
}

#endif
