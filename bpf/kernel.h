/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The fields of kernel structures that the programs read. The loader finds
 * their real offsets in the running kernel's BTF.
 */
#ifndef FOVEA_KERNEL_H
#define FOVEA_KERNEL_H

#define CORE __attribute__((preserve_access_index))

struct ns_common {
	unsigned int inum;
} CORE;

struct hlist_node {
	struct hlist_node *next;
} CORE;

struct net {
	struct ns_common ns;
	struct hlist_node **dev_index_head; /* heads, which only point to the first */
} CORE;

typedef struct {
	struct net *net;
} CORE possible_net_t;

struct rtnl_link_ops {
	const char *kind;
} CORE;

struct net_device {
	int ifindex;
	possible_net_t nd_net;
	struct hlist_node index_hlist;
	const struct rtnl_link_ops *rtnl_link_ops;
} CORE;

/* Since 6.10 the private part is a member of its own. */
struct net_device___priv {
	__u8 priv[0];
} CORE;

struct dst_entry {
	struct net_device *dev;
} CORE;

struct sock_common {
	possible_net_t skc_net;
} CORE;

struct sock {
	struct sock_common __sk_common;
	__u32 sk_ack_backlog, sk_max_ack_backlog;
} CORE;

struct inet_request_sock {
	__u16 acked : 1;
} CORE;

struct sk_buff {
	struct net_device *dev;
	struct sock *sk;
	unsigned long _skb_refdst;
	unsigned long _nfct;
	unsigned int len, data_len;
	int skb_iif;
	__be16 protocol;
	__u16 network_header;
	__u16 mac_header;
	unsigned char *head, *data;
} CORE;

enum skb_drop_reason {
	SKB_DROP_REASON_NOT_SPECIFIED = 2,
};

struct bpf_map;

struct bpf_iter__bpf_map_elem {
	struct bpf_map *map;
	void *key;
	void *value;
} CORE;

union nf_inet_addr {
	__u32 all[4];
};

struct nf_conntrack_man {
	union nf_inet_addr u3;
	union {
		__be16 all;
	} u;
} CORE;

struct nf_conntrack_tuple {
	struct nf_conntrack_man src;
	struct {
		union nf_inet_addr u3;
		union {
			__be16 all;
		} u;
	} dst;
} CORE;

struct nf_conntrack_tuple_hash {
	struct nf_conntrack_tuple tuple;
} CORE;

struct ip_ct_tcp_state {
	__u8 flags;
} CORE;

struct ip_ct_tcp {
	struct ip_ct_tcp_state seen[2];
} CORE;

union nf_conntrack_proto {
	struct ip_ct_tcp tcp;
} CORE;

/* enum ip_conntrack_dir: its original direction comes first. */
struct nf_conn {
	struct nf_conntrack_tuple_hash tuplehash[2];
	union nf_conntrack_proto proto;
} CORE;

struct bpf_ct_opts {
	__s32 netns_id;
	__s32 error;
	__u8 l4proto;
	__u8 dir;
	__u8 reserved[2];
};

#endif
