//go:build ignore

// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The programs. None touches a packet's fate: all at TC return TC_ACT_UNSPEC,
 * which is also TCX_NEXT, so that whatever is attached behind them runs.
 */
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

#include "fovea.h"
#include "kernel.h"
#include "key.h"
#include "parse.h"
#include "conn.h"
#include "conntrack.h"
#include "drop.h"
#include "network.h"

#define TC_ACT_UNSPEC (-1)

/* Types are generated for Go only if something refers to them. */
const struct translation *translation_type __attribute__((unused));
const struct event *event_type __attribute__((unused));
const enum event_kind *event_kind_type __attribute__((unused));
const enum event_cause *event_cause_type __attribute__((unused));
const enum event_flag *event_flag_type __attribute__((unused));
const enum reply *reply_type __attribute__((unused));

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Which way the first packet of a connection in this direction goes. */
static __always_inline struct verdict first_reply(struct __sk_buff *skb, const struct packet *p, bool conntrack)
{
	const struct conn_key *k = &p->key;
	struct conn_key r;
	struct conn *back;
	struct link *l;
	__u8 reply;

	/* All connections between two addresses look alike. */
	if (k->flags & FLAG_NO_PORTS)
		return known(REPLY_UNKNOWN);
	if (k->protocol == PROTO_TCP && p->tcp_flags & TCP_SYN)
		return known(p->tcp_flags & TCP_ACK ? REPLY_YES : REPLY_NO);
	if (is_icmp(k))
		return reply_of_icmp(k);
	if (k->protocol == PROTO_IGMP || k->protocol == PROTO_VRRP)
		return known(REPLY_NO);
	reverse(k, &r);
	back = find_conn(&r);
	if (back && back->reply != REPLY_UNKNOWN && !back->guessed)
		return known(opposite(back->reply));
	if (conntrack) {
		reply = reply_of_conntrack(skb, k, p->ipv6);
		if (reply != REPLY_UNKNOWN) {
			/* The first packet may be seen before the kernel tracks it. */
			if (back) {
				back->reply = opposite(reply);
				back->guessed = 0;
			}
			return known(reply);
		}
	}
	if (back && back->reply != REPLY_UNKNOWN)
		return (struct verdict){ .reply = opposite(back->reply), .guessed = 1 };
	l = bpf_map_lookup_elem(&links, &k->ifindex);
	if (l && k->protocol != PROTO_TCP && (l->fresh || bpf_ktime_get_ns() - l->attached_at > SETTLED))
		return known(REPLY_NO);
	return guess_by_ports(k);
}

static __noinline void report_packet(struct __sk_buff *skb, const struct packet *p, struct verdict v, enum scope scope)
{
	struct event *e = reserve();

	if (!e)
		return;
	fill(e, &p->key);
	e->flags |= flags_of(scope);
	if (v.guessed)
		e->flags |= FLAG_GUESSED;
	e->packets = 1;
	e->bytes = skb->len;
	e->tcp_flags = p->tcp_flags;
	e->kind = EVENT_TRACE;
	e->cause = CAUSE_PACKET;
	e->reply = v.reply;
	bpf_skb_load_bytes(skb, 0, e->dst_mac, 6);
	bpf_skb_load_bytes(skb, 6, e->src_mac, 6);
	submit(e);
}

/* A FIN ends its own direction, a reset both. */
static __noinline void close_conn(const struct conn_key *k, struct conn *c, __u16 tcp_flags)
{
	struct conn_key r;
	struct conn *back;

	c->closed = 1;
	if (!(tcp_flags & TCP_RST))
		return;
	reverse(k, &r);
	back = find_conn(&r);
	if (back)
		back->closed = 1;
}

static __always_inline void first_packet(struct __sk_buff *skb, const struct packet *p, __u32 now, struct verdict v,
					 enum scope scope)
{
	struct conn fresh = {
		.packets = aggregate, .bytes = aggregate ? skb->len : 0, .seen_at = now, .reported_at = now,
		.tcp_flags = p->tcp_flags, .reply = v.reply, .guessed = v.guessed, .scope = scope,
	};
	struct conn *c;

	bpf_skb_load_bytes(skb, 0, fresh.dst_mac, 6);
	bpf_skb_load_bytes(skb, 6, fresh.src_mac, 6);
	if (add_conn(&p->key, &fresh) != 0 && aggregate) {
		c = find_conn(&p->key);
		if (!c) {
			COUNT(untracked);
			report_packet(skb, p, v, scope);
			return;
		}
		/* Another CPU was first, and reported what is new. */
		__sync_fetch_and_add(&c->bytes, skb->len);
		__sync_fetch_and_add(&c->packets, 1);
		return;
	}
	if (!aggregate) {
		report_packet(skb, p, v, scope);
		return;
	}
	c = find_conn(&p->key);
	if (!c)
		return;
	if (p->tcp_flags & (TCP_FIN | TCP_RST))
		close_conn(&p->key, c, p->tcp_flags);
	if (scope != SCOPE_OPEN)
		report(&p->key, c, 0, p->tcp_flags, CAUSE_NEW);
}

/*
 * Counts a packet of a known connection. True if there may be something to tell,
 * which the rest of a moment's packets never have: so they touch nothing more. The
 * time of the packet before is in before then.
 */
static __always_inline bool count(struct conn *c, __u32 len, __u16 tcp_flags, __u32 now, __u32 *before)
{
	__sync_fetch_and_add(&c->bytes, len);
	__sync_fetch_and_add(&c->packets, 1);
	if (c->seen_at == now && !(tcp_flags & (~c->new_flags | TCP_SYN)))
		return false;
	*before = c->seen_at;
	c->seen_at = now;
	return true;
}

/* Whether a packet begins a new connection with the addresses and ports of one that
 * has ended, or that has talked before. */
static __always_inline bool begins_anew(const struct packet *p, const struct conn *c)
{
	if (!(p->tcp_flags & TCP_SYN))
		return false;
	return c->closed || (!(p->tcp_flags & TCP_ACK) && c->tcp_flags & TCP_ACK);
}

/* Reports a packet that was counted, if it changes what is known. */
static __always_inline void tell(const struct packet *p, struct conn *c, __u32 now, __u32 before)
{
	__u16 seen = c->tcp_flags;
	__u32 since = c->reported_at;

	if (p->key.protocol != PROTO_TCP && elapsed(now, before) >= TRANSLATED_QUIET * hz) {
		report(&p->key, c, 0, 0, CAUSE_NEW);
		return;
	}
	if (begins_anew(p, c)) {
		c->closed = 0;
		c->tcp_flags = p->tcp_flags;
		c->reply = p->tcp_flags & TCP_ACK ? REPLY_YES : REPLY_NO;
		c->guessed = 0;
		report(&p->key, c, 0, p->tcp_flags, CAUSE_NEW);
		return;
	}
	if (p->tcp_flags & ~seen) {
		c->tcp_flags = seen | p->tcp_flags;
		if (p->tcp_flags & (TCP_FIN | TCP_RST))
			close_conn(&p->key, c, p->tcp_flags);
		report(&p->key, c, 0, p->tcp_flags, CAUSE_FLAGS);
		return;
	}
	if (elapsed(now, since) >= interval) {
		report(&p->key, c, since, p->tcp_flags, CAUSE_INTERVAL);
		return;
	}
	if (p->tcp_flags & ~c->new_flags)
		c->new_flags |= p->tcp_flags;
}

/* A packet whose connection is c, or not known. */
static __always_inline void handle(struct __sk_buff *skb, const struct packet *p, struct conn *c, __u32 now,
				   bool conntrack)
{
	__u32 before;

	if (!c) {
		first_packet(skb, p, now, first_reply(skb, p, conntrack), SCOPE_ENDPOINT);
		return;
	}
	if (!aggregate) {
		if (c->seen_at != now)
			c->seen_at = now;
		report_packet(skb, p, (struct verdict){ .reply = c->reply, .guessed = c->guessed }, c->scope);
		return;
	}
	if (count(c, skb->len, p->tcp_flags, now, &before))
		tell(p, c, now, before);
}

static __always_inline void handle_any(struct __sk_buff *skb, __u8 from, __u32 now, bool conntrack)
{
	struct cursor cur = { .skb = skb, .len = skb->len };
	struct packet p = {};

	switch (parse_frame(&cur, &p)) {
	case PARSED:
		p.key.flags |= from;
		p.key.ifindex = skb->ifindex;
		handle(skb, &p, find_conn(&p.key), now, conntrack);
		return;
	case PARSED_MALFORMED:
		COUNT(malformed);
		return;
	default:
		return;
	}
}

static __always_inline void handle_plain(struct __sk_buff *skb, const struct conn_key4 *k, __u16 tcp_flags, __u32 now,
					 bool conntrack)
{
	struct packet p = { .tcp_flags = tcp_flags };

	widen(k, &p.key);
	handle(skb, &p, bpf_map_lookup_elem(&conns4, k), now, conntrack);
}
/* Out of line, so that the path of all other packets is short. */
static __noinline void any_conntrack(struct __sk_buff *skb, __u8 from, __u32 now)
{
	handle_any(skb, from, now, true);
}

static __noinline void any_alone(struct __sk_buff *skb, __u8 from, __u32 now)
{
	handle_any(skb, from, now, false);
}

static __noinline void plain_conntrack(struct __sk_buff *skb, const struct conn_key4 *k, __u16 tcp_flags, __u32 now)
{
	handle_plain(skb, k, tcp_flags, now, true);
}

static __noinline void plain_alone(struct __sk_buff *skb, const struct conn_key4 *k, __u16 tcp_flags, __u32 now)
{
	handle_plain(skb, k, tcp_flags, now, false);
}

static __noinline void tell_plain(const struct conn_key4 *k, struct conn *c, __u16 tcp_flags, __u32 now, __u32 before)
{
	struct packet p = { .tcp_flags = tcp_flags };

	widen(k, &p.key);
	tell(&p, c, now, before);
}

static __always_inline int endpoint(struct __sk_buff *skb, __u8 from, bool conntrack)
{
	struct conn_key4 k;
	__u32 now = jiffies(), before;
	__u16 tcp_flags;
	struct conn *c;

	if (!parse_plain(skb, from, &k, &tcp_flags)) {
		if (conntrack)
			any_conntrack(skb, from, now);
		else
			any_alone(skb, from, now);
		return TC_ACT_UNSPEC;
	}
	c = bpf_map_lookup_elem(&conns4, &k);
	if (!c || !aggregate) {
		if (conntrack)
			plain_conntrack(skb, &k, tcp_flags, now);
		else
			plain_alone(skb, &k, tcp_flags, now);
		return TC_ACT_UNSPEC;
	}
	if (count(c, skb->len, tcp_flags, now, &before))
		tell_plain(&k, c, tcp_flags, now, before);
	return TC_ACT_UNSPEC;
}

/* At the node's end of a veth, what comes in is what the endpoint sent. */
SEC("tc")
int from_endpoint(struct __sk_buff *skb)
{
	return endpoint(skb, FLAG_FROM_ENDPOINT, true);
}

SEC("tc")
int to_endpoint(struct __sk_buff *skb)
{
	return endpoint(skb, 0, true);
}

/* The same where the kernel's connection tracking cannot be asked. */
SEC("tc")
int from_endpoint_alone(struct __sk_buff *skb)
{
	return endpoint(skb, FLAG_FROM_ENDPOINT, false);
}

SEC("tc")
int to_endpoint_alone(struct __sk_buff *skb)
{
	return endpoint(skb, 0, false);
}

/* That a connection is another's, to be known without asking again. */
static __always_inline void note_others(const struct packet *p, __u32 now)
{
	struct conn fresh = { .seen_at = now, .scope = SCOPE_OTHERS };

	/* If there is no room, each of its packets is looked up. */
	add_conn(&p->key, &fresh);
}

/* At an interface to the network: a packet that one of the node's addresses sent, or
 * that is on its way to one. */
static __noinline void node_packet(struct __sk_buff *skb, const struct packet *p)
{
	struct conn *c = find_conn(&p->key);
	__u32 now = jiffies();

	if (!c) {
		enum scope scope = scope_of(skb, p, true);
		struct verdict v;

		if (scope == SCOPE_OTHERS) {
			set_scope_of_answers(&p->key, scope);
			note_others(p, now);
			return;
		}
		/* What it knows of the answers comes before they are told. */
		v = first_reply(skb, p, true);
		set_scope_of_answers(&p->key, scope);
		first_packet(skb, p, now, v, scope);
		return;
	}
	if (is_open(p, c, now)) {
		if (c->guessed || c->reply == REPLY_UNKNOWN)
			ask_reply(skb, p, c);
		set_scope(&p->key, c, scope_of(skb, p, false));
	}
	if (c->scope == SCOPE_OTHERS) {
		if (c->seen_at != now)
			c->seen_at = now;
		return;
	}
	handle(skb, p, c, now, true);
}

static __always_inline int network(struct __sk_buff *skb, __u8 from)
{
	struct cursor cur = { .skb = skb, .len = skb->len };
	struct packet p = {};

	if (parse_frame(&cur, &p) != PARSED || !is_node(from ? &p.key.src : &p.key.dst))
		return TC_ACT_UNSPEC;
	if ((!show_overlay && carries_overlay(&p.key)) || finds_neighbours(&p.key))
		return TC_ACT_UNSPEC;
	p.key.flags |= from;
	p.key.ifindex = skb->ifindex;
	node_packet(skb, &p);
	return TC_ACT_UNSPEC;
}

/* What goes out there, the node sent. */
SEC("tc")
int to_network(struct __sk_buff *skb)
{
	return network(skb, FLAG_FROM_ENDPOINT);
}

SEC("tc")
int from_network(struct __sk_buff *skb)
{
	return network(skb, 0);
}

/*
 * Run over all connections about once a second: reports counts that no packet
 * is going to. True if the connection is to be forgotten, as it has been silent.
 */
static __always_inline bool sweep(const struct conn_key *k, struct conn *c, bool lock)
{
	__u32 now = jiffies();
	__u32 idle = elapsed(now, c->seen_at);
	bool waiting = c->packets != c->reported_packets;
	bool established = c->tcp_flags & TCP_ACK;
	__u32 timeout = OTHER_TIMEOUT;

	if (c->closed)
		timeout = CLOSED_TIMEOUT;
	else if (established)
		timeout = TCP_TIMEOUT;
	else if (c->packets == 1)
		timeout = ONCE_TIMEOUT;
	timeout *= hz;

	if (!waiting || c->scope == SCOPE_OTHERS)
		return idle >= timeout;
	/* No answer or second packet told whose it is: nobody translated it. */
	if (c->scope == SCOPE_OPEN && idle >= hz * OPEN_QUIET) {
		c->scope = SCOPE_NODE;
		report_counts(k, c, 0, c->tcp_flags, CAUSE_NEW, lock);
		return false;
	}
	if (c->scope == SCOPE_OPEN)
		return false;
	if (elapsed(now, c->reported_at) >= interval || (c->closed && idle >= hz * CLOSED_QUIET))
		report_counts(k, c, 0, 0, CAUSE_IDLE, lock);
	return false;
}

static __always_inline int sweep4(struct bpf_iter__bpf_map_elem *ctx, bool lock)
{
	const struct conn_key4 *key = ctx->key;
	struct conn_key4 k4;
	struct conn_key k = {};
	struct conn *c;

	if (!key)
		return 0;
	__builtin_memcpy(&k4, key, sizeof(k4));
	c = bpf_map_lookup_elem(&conns4, &k4);
	if (!c)
		return 0;
	widen(&k4, &k);
	if (sweep(&k, c, lock))
		bpf_map_delete_elem(&conns4, &k4);
	return 0;
}

static __always_inline int sweep6(struct bpf_iter__bpf_map_elem *ctx, bool lock)
{
	const struct conn_key *key = ctx->key;
	struct conn_key k;
	struct conn *c;

	if (!key)
		return 0;
	__builtin_memcpy(&k, key, sizeof(k));
	c = bpf_map_lookup_elem(&conns6, &k);
	if (c && sweep(&k, c, lock))
		bpf_map_delete_elem(&conns6, &k);
	return 0;
}

SEC("iter/bpf_map_elem")
int sweep_conns4(struct bpf_iter__bpf_map_elem *ctx)
{
	return sweep4(ctx, true);
}

SEC("iter/bpf_map_elem")
int sweep_conns6(struct bpf_iter__bpf_map_elem *ctx)
{
	return sweep6(ctx, true);
}

/* For kernels that know no locks in iterators (5.10 is one). A count is told
 * twice if a packet with a new TCP flag ends a silence at that very moment. */
SEC("iter/bpf_map_elem")
int sweep_conns4_unlocked(struct bpf_iter__bpf_map_elem *ctx)
{
	return sweep4(ctx, false);
}

SEC("iter/bpf_map_elem")
int sweep_conns6_unlocked(struct bpf_iter__bpf_map_elem *ctx)
{
	return sweep6(ctx, false);
}

/*
 * Run by the agent, with translations in place of a packet: fills them in. They
 * are of the namespace that the agent runs in.
 */
SEC("tc")
int translate(struct __sk_buff *skb)
{
	struct translation t;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < MAX_TRANSLATIONS; i++) {
		if (bpf_skb_load_bytes(skb, i * sizeof(t), &t, sizeof(t)))
			break;
		translate_one(skb, &t);
		if (bpf_skb_store_bytes(skb, i * sizeof(t), &t, sizeof(t), 0))
			break;
	}
	return TC_ACT_UNSPEC;
}
