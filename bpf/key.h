/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The two forms of a connection's key. */
#ifndef FOVEA_KEY_H
#define FOVEA_KEY_H

static __always_inline bool is_mapped(const struct address *a)
{
	return !a->words[0] && !a->words[1] && a->words[2] == bpf_htonl(0xffff);
}

static __always_inline bool is_ip4(const struct conn_key *k)
{
	return is_mapped(&k->src) && is_mapped(&k->dst);
}

static __always_inline __u32 rest_of(__u16 id, __u8 protocol, __u8 flags)
{
	return id | (__u32)protocol << 16 | (__u32)flags << 24;
}

static __always_inline void narrow(const struct conn_key *k, struct conn_key4 *k4)
{
	k4->src = k->src.words[3];
	k4->dst = k->dst.words[3];
	k4->ports = bpf_htonl((__u32)k->sport << 16 | k->dport);
	k4->ifindex = k->ifindex;
	k4->rest = rest_of(k->id, k->protocol, k->flags);
}

static __always_inline void widen(const struct conn_key4 *k4, struct conn_key *k)
{
	__u32 ports = bpf_ntohl(k4->ports);

	k->src.words[0] = k->src.words[1] = k->dst.words[0] = k->dst.words[1] = 0;
	k->src.words[2] = k->dst.words[2] = bpf_htonl(0xffff);
	k->src.words[3] = k4->src;
	k->dst.words[3] = k4->dst;
	k->sport = ports >> 16;
	k->dport = ports;
	k->ifindex = k4->ifindex;
	k->id = k4->rest;
	k->protocol = k4->rest >> 16;
	k->flags = k4->rest >> 24;
}

#endif
