/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Connections, and the reports of them. */
#ifndef FOVEA_CONN_H
#define FOVEA_CONN_H

/*
 * Set by the loader. Time is in jiffies here, as reading another clock costs a
 * packet more than all else that is done for it; hz is how many a second has.
 */
const volatile __u32 hz = 250;
const volatile __u32 interval = 5 * 250; /* jiffies */
const volatile __u8 aggregate = 1;
/* Ports from here on are taken for a client's: see ip_local_port_range. */
const volatile __u16 ephemeral_port = 32768;

/* Idle times, in seconds, after which a connection is forgotten. */
#define TCP_TIMEOUT 3600
#define OTHER_TIMEOUT 180 /* also of TCP that was never answered */
#define CLOSED_TIMEOUT 10
/* Of one packet, as a question or its answer: a server of names sees thousands a second. */
#define ONCE_TIMEOUT 10
/* A closed connection that was silent for so long has nothing more to say. */
#define CLOSED_QUIET 1
/* After so many seconds of silence the kernel may have forgotten how it translated
 * what is no TCP, and do it another way (nf_conntrack_udp_timeout). */
#define TRANSLATED_QUIET 30
/* So long, in seconds, it is waited for what tells whose a connection is. */
#define OPEN_QUIET 1
/* After so many ns an attached program has seen the start of any connection that
 * still talks. */
#define SETTLED 120000000000ULL

/* Connections of IPv4, and all others. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 131072);
	__type(key, struct conn_key4);
	__type(value, struct conn);
} conns4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 131072);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct conn_key);
	__type(value, struct conn);
} conns6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct link);
} links SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct stats);
} cpu_stats SEC(".maps");

/* 1 while the reader sleeps: it shares this page. Whoever sets it back wakes
 * the reader; all other events only lie there for it to find. */
__u32 reader_sleeps SEC(".data.reader") = 0;

static __always_inline __u32 jiffies(void)
{
	return bpf_jiffies64();
}

/* Jiffies from since to now, 0 if another CPU was ahead. */
static __always_inline __u32 elapsed(__u32 now, __u32 since)
{
	__s32 d = now - since;

	return d < 0 ? 0 : d;
}

static __always_inline struct stats *this_cpu_stats(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&cpu_stats, &zero);
}

#define COUNT(field)                                      \
	do {                                              \
		struct stats *s_ = this_cpu_stats();      \
		if (s_)                                   \
			s_->field++;                      \
	} while (0)

/* Room for an event, or NULL: then it is lost, and counted. */
static __always_inline struct event *reserve(void)
{
	struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);

	if (!e)
		COUNT(lost);
	return e;
}

static __always_inline void submit(struct event *e)
{
	__u64 flags = BPF_RB_NO_WAKEUP;

	if (*(volatile __u32 *)&reader_sleeps) {
		*(volatile __u32 *)&reader_sleeps = 0;
		flags = BPF_RB_FORCE_WAKEUP;
	}
	bpf_ringbuf_submit(e, flags);
}

static __always_inline struct conn *find_conn(const struct conn_key *k)
{
	struct conn_key4 k4;

	if (!is_ip4(k))
		return bpf_map_lookup_elem(&conns6, k);
	narrow(k, &k4);
	return bpf_map_lookup_elem(&conns4, &k4);
}

/* Adds a connection; fails if it is there, or if there is no room. */
static __always_inline long add_conn(const struct conn_key *k, const struct conn *c)
{
	struct conn_key4 k4;

	if (!is_ip4(k))
		return bpf_map_update_elem(&conns6, k, c, BPF_NOEXIST);
	narrow(k, &k4);
	return bpf_map_update_elem(&conns4, &k4, c, BPF_NOEXIST);
}

static __always_inline void fill(struct event *e, const struct conn_key *k)
{
	e->time = e->seen = bpf_ktime_get_ns();
	e->src = k->src;
	e->dst = k->dst;
	e->ifindex = k->ifindex;
	e->sport = k->sport;
	e->dport = k->dport;
	e->protocol = k->protocol;
	e->flags = k->flags & FLAG_KEY_MASK;
	if (!is_ip4(k))
		e->flags |= FLAG_IPV6;
	e->location = 0;
	e->drop_reason = 0;
	e->pad = 0;
}

static __always_inline __u8 flags_of(__u8 scope)
{
	return scope == SCOPE_ENDPOINT ? FLAG_LOCAL : FLAG_LOCAL | FLAG_NETWORK;
}

/* Some kernels let the sweep take no lock. */
#define LOCK(c)                                   \
	do {                                      \
		if (lock)                         \
			bpf_spin_lock(&(c)->lock); \
	} while (0)
#define UNLOCK(c)                                   \
	do {                                        \
		if (lock)                           \
			bpf_spin_unlock(&(c)->lock); \
	} while (0)

/*
 * Reports what c counted since its last report. If another CPU did so since the
 * caller looked at since, or nothing was counted, there is nothing to do.
 * If there is no room the event is lost, and the counts wait for the next.
 */
static __always_inline void report_counts(const struct conn_key *k, struct conn *c, __u32 since, __u16 tcp_flags,
					  enum event_cause cause, bool lock)
{
	struct event *e = reserve();
	__u32 now = jiffies();

	if (!e) {
		/* Not with the next packet again: the ring is full. */
		c->reported_at = now;
		return;
	}

	__u64 packets, bytes;
	__u16 flags = tcp_flags;

	LOCK(c);
	packets = c->packets - c->reported_packets;
	bytes = c->bytes - c->reported_bytes;
	if (packets == 0 || (since && c->reported_at != since)) {
		UNLOCK(c);
		bpf_ringbuf_discard(e, BPF_RB_NO_WAKEUP);
		return;
	}
	c->reported_packets += packets;
	c->reported_bytes += bytes;
	c->reported_at = now;
	if (cause == CAUSE_IDLE)
		flags = c->new_flags;
	c->new_flags = 0;
	UNLOCK(c);

	fill(e, k);
	e->flags |= flags_of(c->scope);
	if (c->guessed)
		e->flags |= FLAG_GUESSED;
	e->packets = packets;
	e->bytes = bytes;
	e->tcp_flags = flags;
	e->kind = EVENT_TRACE;
	e->cause = cause;
	if (cause == CAUSE_IDLE)
		e->seen -= (__u64)elapsed(now, c->seen_at) * (1000000000 / hz);
	e->reply = c->reply;
	__builtin_memcpy(e->src_mac, c->src_mac, 6);
	__builtin_memcpy(e->dst_mac, c->dst_mac, 6);
	submit(e);
}

static __noinline void report(const struct conn_key *k, struct conn *c, __u32 since, __u16 tcp_flags,
			      enum event_cause cause)
{
	report_counts(k, c, since, tcp_flags, cause, true);
}

static __always_inline void reverse(const struct conn_key *k, struct conn_key *r)
{
	r->src = k->dst;
	r->dst = k->src;
	r->sport = k->dport;
	r->dport = k->sport;
	r->ifindex = k->ifindex;
	r->id = k->id;
	r->protocol = k->protocol;
	r->flags = k->flags ^ FLAG_FROM_ENDPOINT;
}

struct verdict {
	__u8 reply;
	__u8 guessed;
};

static __always_inline struct verdict known(__u8 reply)
{
	return (struct verdict){ .reply = reply };
}

static __always_inline __u8 opposite(__u8 reply)
{
	return reply == REPLY_UNKNOWN ? REPLY_UNKNOWN : REPLY_NO + REPLY_YES - reply;
}

static __always_inline bool is_icmp(const struct conn_key *k)
{
	return k->protocol == PROTO_ICMP || k->protocol == PROTO_ICMPV6;
}

static __always_inline bool is_echo_reply(const struct conn_key *k)
{
	if (k->flags & FLAG_NO_PORTS)
		return false;
	return k->protocol == PROTO_ICMP ? k->sport == 0 : k->protocol == PROTO_ICMPV6 && k->sport == 129;
}

/*
 * Which way a message goes. Only an echo has a way: errors are about packets of
 * others, and what finds neighbours, routers and members of groups is nobody's
 * conversation.
 */
static __always_inline struct verdict reply_of_icmp(const struct conn_key *k)
{
	if (is_echo_reply(k))
		return known(REPLY_YES);
	return known(k->sport == (k->protocol == PROTO_ICMP ? 8 : 128) ? REPLY_NO : REPLY_UNKNOWN);
}

static __always_inline struct verdict guess_by_ports(const struct conn_key *k)
{
	__u16 s = k->sport, d = k->dport;
	bool client_s = s >= ephemeral_port, client_d = d >= ephemeral_port;

	if (client_s == client_d) {
		client_s = s >= 1024;
		client_d = d >= 1024;
	}
	if (client_s == client_d || s == 0 || d == 0)
		return known(REPLY_UNKNOWN);
	return (struct verdict){ .reply = client_s ? REPLY_NO : REPLY_YES, .guessed = 1 };
}

#endif
