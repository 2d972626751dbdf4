/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the programs and the agent share. The Go types are generated from this
 * header, so that the two cannot drift apart.
 */
#ifndef FOVEA_H
#define FOVEA_H

/* An IPv6 address, or an IPv4 address in its IPv6-mapped form. */
struct address {
	__u32 words[4]; /* network order */
};

/* What an event tells. */
enum event_kind {
	EVENT_TRACE = 1, /* packets at an endpoint's interface */
	EVENT_DROP = 2,  /* a packet that the kernel freed as dropped */
};

/* Why an EVENT_TRACE was sent. */
enum event_cause {
	CAUSE_NEW = 1,      /* the connection's first packet in this direction */
	CAUSE_FLAGS = 2,    /* a TCP flag not reported before */
	CAUSE_INTERVAL = 3, /* packets flowed for an interval */
	CAUSE_IDLE = 4,     /* the last counts of a connection that fell silent */
	CAUSE_PACKET = 5,   /* one packet: no aggregation, or no room to aggregate */
};

/* Which way a connection's packets go. */
enum reply {
	REPLY_UNKNOWN = 0,
	REPLY_NO = 1,  /* from the initiator to the responder */
	REPLY_YES = 2, /* from the responder to the initiator */
};

/* Bits of event.flags and, below FLAG_KEY_MASK, of conn_key.flags. */
enum event_flag {
	FLAG_FROM_ENDPOINT = 1, /* sent by the endpoint, else on the way to it */
	FLAG_NO_PORTS = 2,      /* no transport header was there to read */
	FLAG_KEY_MASK = 3,
	FLAG_IPV6 = 4,
	FLAG_GUESSED = 8,  /* reply was inferred from ports */
	FLAG_LOCAL = 16,   /* ifindex is an interface that leads to an endpoint */
	FLAG_NETWORK = 32, /* or one to the network, where the node is the endpoint */
	FLAG_UNTRACKED = 64, /* of a drop: connection tracking has not taken the packet */
};

/* Whose a connection is. */
enum scope {
	SCOPE_ENDPOINT = 0, /* the endpoint's behind the interface */
	SCOPE_NODE = 1,     /* the node's itself */
	SCOPE_OTHERS = 2,   /* another's, that passes through the node: not told here */
	SCOPE_OPEN = 3,     /* the node's or another's, which is not known yet */
};

/* One report, as it lies in the ring buffer. */
struct event {
	__u64 time;     /* CLOCK_MONOTONIC, ns */
	__u64 seen;     /* of the last packet, to a jiffy */
	__u64 packets;  /* since the last report of this connection and direction */
	__u64 bytes;    /* of whole frames: skb->len at the interface */
	__u64 location; /* kernel address that freed the packet, of a drop */
	struct address src, dst;
	__u32 ifindex;     /* in the agent's network namespace; 0 unknown */
	__u32 drop_reason; /* enum skb_drop_reason of the running kernel */
	/* Host order. ICMP: type and code. VRRP: type, and router and priority.
	 * IGMP: type. */
	__u16 sport, dport;
	__u16 tcp_flags; /* nine bits, FIN lowest */
	__u8 protocol;
	__u8 flags; /* enum event_flag */
	__u8 kind;  /* enum event_kind */
	__u8 cause; /* enum event_cause */
	__u8 reply; /* enum reply */
	__u8 pad;
	__u8 src_mac[6], dst_mac[6];
};

/*
 * A connection in one direction at one endpoint. ICMP echoes are told apart by
 * their identifier.
 */
struct conn_key {
	struct address src, dst;
	__u16 sport, dport;
	__u32 ifindex;
	__u16 id;
	__u8 protocol;
	__u8 flags; /* FLAG_KEY_MASK of enum event_flag */
};

/*
 * The same of IPv4, in what a processor's cache has room for, and in words that
 * are written and compared whole.
 */
struct conn_key4 {
	__u32 src, dst; /* network order */
	__u32 ports;    /* network order: source, then destination */
	__u32 ifindex;
	__u32 rest; /* id, protocol << 16, flags << 24 */
};

/*
 * What is known of a connection. The packet path only adds to packets and bytes
 * and notes the time; what was reported changes under lock.
 */
struct conn {
	__u64 packets;
	__u64 bytes;
	__u32 seen_at; /* jiffies, of the last packet */
	__u32 reported_at;
	__u16 tcp_flags; /* seen so far */
	__u16 new_flags; /* seen since the last report */
	__u8 reply;
	__u8 guessed;
	__u8 src_mac[6], dst_mac[6];
	__u8 closed; /* it ended: a FIN in this direction, or a reset in any */
	__u8 scope;  /* enum scope */
	struct bpf_spin_lock lock;
	__u64 reported_packets;
	__u64 reported_bytes;
};

/* Packets that are dropped alike: of one connection, at one place. */
struct drop_key {
	struct conn_key conn;
	__u32 reason;
	__u64 location;
};

/* What was dropped since the last report, and what else to tell of it. */
struct drop_count {
	__u64 packets;
	__u64 bytes;
	__u32 seen_at; /* jiffies, of the last packet */
	__u32 reported_at;
	__u16 tcp_flags; /* since the last report */
	__u8 flags;      /* enum event_flag */
	__u8 reply;
	__u8 src_mac[6], dst_mac[6];
};

/* A function of the kernel, or a part of one, where packets are lost for no reason
 * that is specified. */
struct losing {
	__u64 start, end;
	__u64 arriving; /* they have come in at their device, which is not noted yet */
};

/* How many there are at most. */
#define MAX_LOSING 32

/* An interface that the programs are attached to. */
struct link {
	__u64 attached_at; /* CLOCK_MONOTONIC, ns */
	__u32 fresh;       /* it appeared while the agent was running */
	__u32 network;     /* it leads to the network, not to an endpoint */
};

/* One end of a connection. */
struct end {
	struct address addr;
	__u16 port; /* host order */
	__u16 pad;
};

/*
 * What the kernel's connection tracking knows of a connection, asked for by the
 * addresses and ports of its packets at any interface of the node.
 */
struct translation {
	struct end src, dst; /* asked for */
	/* Of the initiator's packets: as it sent them, and as they went on. */
	struct end sent_src, sent_dst;
	struct end went_src, went_dst;
	__u8 protocol; /* asked for */
	__u8 found;
	__u16 pad;
};

/* How many translations are asked for at once. */
#define MAX_TRANSLATIONS 16

/* What could not be told as an event, per CPU. */
struct stats {
	__u64 lost;      /* events that found no room in the ring buffer */
	__u64 malformed; /* packets whose headers contradict themselves */
	__u64 untracked; /* packets of connections that found no room in the map */
};

#endif
