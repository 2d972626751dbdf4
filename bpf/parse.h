/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From a packet's bytes to its key. Nothing is read from outside the packet:
 * every header has to lie within the length that the one before it tells.
 */
#ifndef FOVEA_PARSE_H
#define FOVEA_PARSE_H

#define ETH_HLEN 14
#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86dd
#define ETH_P_8021Q 0x8100
#define ETH_P_8021AD 0x88a8

#define PROTO_HOPOPTS 0
#define PROTO_ICMP 1
#define PROTO_IGMP 2
#define PROTO_TCP 6
#define PROTO_UDP 17
#define PROTO_ROUTING 43
#define PROTO_FRAGMENT 44
#define PROTO_AH 51
#define PROTO_ICMPV6 58
#define PROTO_DSTOPTS 60
#define PROTO_VRRP 112
#define PROTO_SCTP 132
#define PROTO_MOBILITY 135

#define MAX_VLAN_TAGS 2
#define MAX_EXTENSIONS 8
/* Headers beyond this are not looked for; a bound for the verifier. */
#define MAX_OFFSET 2048

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

enum parsed {
	PARSED = 0,
	PARSED_OTHER,     /* not IP */
	PARSED_MALFORMED, /* headers that contradict each other or the length */
};

/*
 * Where bytes come from: a packet at TC, or kernel memory in which a packet's
 * linear part lies. Which of the two is known when compiling.
 */
struct cursor {
	bool linear;
	struct __sk_buff *skb;
	const void *head; /* if linear */
	__u32 len; /* bytes that may be read */
};

struct packet {
	struct conn_key key;
	__u16 tcp_flags;
	__u8 ipv6;
	/* Where the transport header lies, unless FLAG_NO_PORTS is set. */
	__u32 l4_start, l4_end;
};

static __always_inline int load(const struct cursor *c, __u32 off, void *to, __u32 len)
{
	if (c->linear)
		return bpf_probe_read_kernel(to, len, c->head + off);

	void *data = (void *)(long)c->skb->data;
	void *end = (void *)(long)c->skb->data_end;

	if (off > MAX_OFFSET)
		return -1;
	if (data + off + len <= end) {
		__builtin_memcpy(to, data + off, len);
		return 0;
	}
	return bpf_skb_load_bytes(c->skb, off, to, len);
}

/* Reads len bytes at off, of which all have to lie before end. */
#define LOAD(c, off, to, len, end) ((off) + (len) <= (end) && load(c, off, to, len) == 0)

struct ip4 {
	__u8 version_ihl, tos;
	__u16 tot_len, id, frag_off;
	__u8 ttl, protocol;
	__u16 check;
	__u32 saddr, daddr;
};

struct ip6 {
	__u32 version_class_flow;
	__u16 payload_len;
	__u8 nexthdr, hop_limit;
	struct address saddr, daddr;
};

struct tcp {
	__u16 source, dest;
	__u32 seq, ack;
	__u16 offset_flags;
	__u16 window, check, urgent;
};

static __always_inline enum parsed parse_tcp(const struct cursor *c, __u32 off, __u32 end, struct packet *p)
{
	struct tcp t;

	if (!LOAD(c, off, &t, sizeof(t), end))
		return PARSED_MALFORMED;

	__u16 of = bpf_ntohs(t.offset_flags);
	__u32 hlen = (of >> 12) * 4;

	if (hlen < sizeof(t) || off + hlen > end)
		return PARSED_MALFORMED;
	p->key.sport = bpf_ntohs(t.source);
	p->key.dport = bpf_ntohs(t.dest);
	p->tcp_flags = of & 0x1ff;
	return PARSED;
}

/* The transport header at off. Protocols that have none here are told by their
 * number only. */
static __always_inline enum parsed parse_l4(const struct cursor *c, __u32 off, __u32 end, struct packet *p)
{
	struct conn_key *k = &p->key;
	__u16 h[4];
	__u8 b[4];

	switch (k->protocol) {
	case PROTO_TCP:
		return parse_tcp(c, off, end, p);
	case PROTO_UDP:
	case PROTO_SCTP:
		/* Both have headers of at least 8 bytes that start with the ports;
		 * SCTP's common header has 12. */
		if (off + (k->protocol == PROTO_SCTP ? 12 : 8) > end || !LOAD(c, off, h, 8, end))
			return PARSED_MALFORMED;
		k->sport = bpf_ntohs(h[0]);
		k->dport = bpf_ntohs(h[1]);
		return PARSED;
	case PROTO_ICMP:
	case PROTO_ICMPV6:
		if (!LOAD(c, off, h, 8, end)) {
			/* The shortest messages have four bytes. */
			if (!LOAD(c, off, h, 4, end))
				return PARSED_MALFORMED;
			h[2] = 0;
		}
		k->sport = bpf_ntohs(h[0]) >> 8;
		k->dport = bpf_ntohs(h[0]) & 0xff;
		if (k->protocol == PROTO_ICMP ? k->sport == 8 || k->sport == 0
					      : k->sport == 128 || k->sport == 129)
			k->id = bpf_ntohs(h[2]);
		return PARSED;
	case PROTO_IGMP:
		if (!LOAD(c, off, b, 1, end))
			return PARSED_MALFORMED;
		k->sport = b[0];
		return PARSED;
	case PROTO_VRRP:
		if (!LOAD(c, off, b, 4, end))
			return PARSED_MALFORMED;
		k->sport = b[0] & 0xf;
		k->dport = (__u16)b[1] << 8 | b[2];
		return PARSED;
	}
	k->flags |= FLAG_NO_PORTS;
	return PARSED;
}

static __always_inline enum parsed parse_ip4(const struct cursor *c, __u32 off, struct packet *p)
{
	struct ip4 ip;

	if (!LOAD(c, off, &ip, sizeof(ip), c->len))
		return PARSED_MALFORMED;

	__u32 hlen = (ip.version_ihl & 0xf) * 4;
	__u32 len = bpf_ntohs(ip.tot_len);
	__u32 room = c->len - off;

	/* A packet over 64 KiB, as the kernel makes them inside a node, has
	 * length 0 (include/linux/ip.h: iph_totlen). */
	if (len == 0 && room > 0xffff)
		len = room;
	if (ip.version_ihl >> 4 != 4 || hlen < sizeof(ip) || len < hlen)
		return PARSED_MALFORMED;
	/* Of dropped packets only the linear part can be read. */
	if (len > room) {
		if (!c->linear)
			return PARSED_MALFORMED;
		len = room;
	}
	p->key.src.words[2] = p->key.dst.words[2] = bpf_htonl(0xffff);
	p->key.src.words[3] = ip.saddr;
	p->key.dst.words[3] = ip.daddr;
	p->key.protocol = ip.protocol;
	if (ip.frag_off & bpf_htons(0x1fff)) {
		p->key.flags |= FLAG_NO_PORTS;
		return PARSED;
	}
	p->l4_start = off + hlen;
	p->l4_end = off + len;
	return PARSED;
}

static __always_inline enum parsed parse_ip6(const struct cursor *c, __u32 off, struct packet *p)
{
	struct ip6 ip;
	__u8 h[4];

	if (!LOAD(c, off, &ip, sizeof(ip), c->len))
		return PARSED_MALFORMED;

	__u32 len = bpf_ntohs(ip.payload_len);
	__u32 room = c->len - off - sizeof(ip);

	/* As above; the jumbo option that tells the length is not read. */
	if (len == 0)
		len = room;
	if ((bpf_ntohl(ip.version_class_flow) >> 28) != 6)
		return PARSED_MALFORMED;
	if (len > room) {
		if (!c->linear)
			return PARSED_MALFORMED;
		len = room;
	}
	p->ipv6 = 1;
	p->key.src = ip.saddr;
	p->key.dst = ip.daddr;
	off += sizeof(ip);

	__u32 end = off + len;
	__u8 next = ip.nexthdr;

#pragma clang loop unroll(disable)
	for (int i = 0; i < MAX_EXTENSIONS; i++) {
		switch (next) {
		case PROTO_HOPOPTS:
		case PROTO_ROUTING:
		case PROTO_DSTOPTS:
		case PROTO_MOBILITY:
			if (!LOAD(c, off, h, 2, end))
				return PARSED_MALFORMED;
			off += (h[1] + 1) * 8;
			break;
		case PROTO_AH:
			if (!LOAD(c, off, h, 2, end))
				return PARSED_MALFORMED;
			off += (h[1] + 2) * 4;
			break;
		case PROTO_FRAGMENT:
			if (off + 8 > end || !LOAD(c, off, h, 4, end))
				return PARSED_MALFORMED;
			off += 8;
			if (h[2] || h[3] & 0xf8) {
				p->key.protocol = h[0];
				p->key.flags |= FLAG_NO_PORTS;
				return PARSED;
			}
			break;
		default:
			p->key.protocol = next;
			p->l4_start = off;
			p->l4_end = end;
			return PARSED;
		}
		next = h[0];
		if (off > end)
			return PARSED_MALFORMED;
	}
	/* More headers than are followed: what lies behind them is not known. */
	p->key.protocol = next;
	p->key.flags |= FLAG_NO_PORTS;
	return PARSED;
}

static __always_inline enum parsed parse_ip(const struct cursor *c, __u32 off, __u16 ethertype, struct packet *p)
{
	enum parsed r = PARSED_OTHER;

	if (ethertype == bpf_htons(ETH_P_IP))
		r = parse_ip4(c, off, p);
	else if (ethertype == bpf_htons(ETH_P_IPV6))
		r = parse_ip6(c, off, p);
	if (r != PARSED || p->key.flags & FLAG_NO_PORTS)
		return r;
	return parse_l4(c, p->l4_start, p->l4_end, p);
}

/* A frame; p is zeroed by the caller. */
static __always_inline enum parsed parse_frame(const struct cursor *c, struct packet *p)
{
	__u32 off = ETH_HLEN;
	__u16 ethertype, tag[2];

	if (!LOAD(c, 12, &ethertype, 2, c->len))
		return PARSED_MALFORMED;
	for (int i = 0; i < MAX_VLAN_TAGS; i++) {
		if (ethertype != bpf_htons(ETH_P_8021Q) && ethertype != bpf_htons(ETH_P_8021AD))
			break;
		if (!LOAD(c, off, tag, 4, c->len))
			return PARSED_MALFORMED;
		ethertype = tag[1];
		off += 4;
	}
	return parse_ip(c, off, ethertype, p);
}

struct plain {
	__u8 macs[12];
	__u16 ethertype;
	struct ip4 ip;
	__u32 ports;
	__u16 unused[4];
	__u16 offset_flags; /* of TCP */
} __attribute__((packed));

/*
 * What nearly all packets are: TCP or UDP over IPv4 without options, whole, its
 * headers in the linear part. It says the same as parse_frame, which is for all
 * others, in so few instructions that they stay in the processor's cache. False
 * if the packet is not such a one.
 */
static __always_inline bool parse_plain(struct __sk_buff *skb, __u8 from, struct conn_key4 *k, __u16 *tcp_flags)
{
	struct plain *h = (void *)(long)skb->data;
	__u32 len;

	if ((void *)(h + 1) > (void *)(long)skb->data_end)
		return false;
	if (h->ethertype != bpf_htons(ETH_P_IP) || h->ip.version_ihl != 0x45 || h->ip.frag_off & bpf_htons(0x1fff))
		return false;
	len = bpf_ntohs(h->ip.tot_len);
	if (ETH_HLEN + len > skb->len)
		return false;
	if (h->ip.protocol == PROTO_TCP) {
		__u16 of = bpf_ntohs(h->offset_flags);
		__u32 hlen = (of >> 12) * 4;

		if (hlen < sizeof(struct tcp) || sizeof(struct ip4) + hlen > len)
			return false;
		*tcp_flags = of & 0x1ff;
	} else if (h->ip.protocol == PROTO_UDP && len >= sizeof(struct ip4) + 8) {
		*tcp_flags = 0;
	} else {
		return false;
	}
	k->src = h->ip.saddr;
	k->dst = h->ip.daddr;
	k->ports = h->ports;
	k->ifindex = skb->ifindex;
	k->rest = rest_of(0, h->ip.protocol, from);
	return true;
}

#endif
