package reason

import "slices"

// Hubble's numbers (flow.DropReason), which the API guarantees not to change.
const (
	// None: Hubble has no word for it.
	None = 0

	invalidSourceMAC     = 130
	invalidSourceIP      = 132
	invalidPacket        = 134
	unsupportedL3        = 139
	unknownL4            = 142
	unknownICMPv6Code    = 145
	invalidIPv6Extension = 156
	reachedHorizon       = 162
	routeLookupFailed    = 169
	forbiddenICMPv6      = 176
	socketLookupFailed   = 178
	invalidVNI           = 183
	timeToLiveExceeded   = 196
)

// Reason is what is known of a reason.
type Reason struct {
	// Hubble is the number of the flow.DropReason that says the same, or None.
	Hubble uint32
	// NoLoss says why nobody misses the packet; empty if somebody does.
	NoLoss string
}

// Of returns what is known of a reason, by its name. Known is false for one that
// is not in the table.
func Of(name string) (r Reason, known bool) {
	switch name {
	case "SKB_NOT_DROPPED_YET", "SKB_CONSUMED":
		return Reason{NoLoss: "it was not dropped"}, true
	case NotSpecified:
		return Reason{NoLoss: "kernels that have reasons use this one for what they have not sorted yet, most of it no loss"}, true
	case "TCP_OLD_DATA", "TCP_OFOMERGE", "TCP_OFO_DROP", "TCP_OLD_ACK", "TCP_TOO_OLD_ACK",
		"TCP_RFC7323_PAWS_ACK", "TCP_OLD_SEQUENCE", "DUP_FRAG":
		return Reason{NoLoss: "the data was there already"}, true
	case "TCP_CLOSE", "TCP_RESET", "TCP_ABORT_ON_DATA", "SOCKET_CLOSE", "QUEUE_PURGE", "UNIX_DISCONNECT", "UNIX_SKIP_OOB":
		return Reason{NoLoss: "it was left when a socket was closed, or a device taken down"}, true
	case "OTHERHOST", "UNICAST_IN_L2_MULTICAST", "IPV6_NDISC_NS_OTHERHOST", "LOCAL_MAC":
		return Reason{NoLoss: "it was not meant for this host"}, true
	case "PACKET_SOCK_ERROR", "TAP_FILTER", "TAP_TXFILTER", "SOCKET_FILTER":
		return Reason{NoLoss: "it was a copy, or somebody asked for no more"}, true

	case "NO_SOCKET":
		return Reason{Hubble: socketLookupFailed}, true
	case "IP_INHDR", "IP_CSUM", "TCP_CSUM", "UDP_CSUM", "ICMP_CSUM", "SKB_CSUM", "HDR_TRUNC", "PKT_TOO_SMALL",
		"VXLAN_INVALID_HDR", "DEV_HDR":
		return Reason{Hubble: invalidPacket}, true
	case "IP_RPFILTER", "IP_INVALID_SOURCE", "IP_LOCAL_SOURCE":
		return Reason{Hubble: invalidSourceIP}, true
	case "IP_INNOROUTES", "IP_OUTNOROUTES":
		return Reason{Hubble: routeLookupFailed}, true
	case "IP_NOPROTO":
		return Reason{Hubble: unknownL4}, true
	case "UNHANDLED_PROTO":
		return Reason{Hubble: unsupportedL3}, true
	case "IPV6_BAD_EXTHDR":
		return Reason{Hubble: invalidIPv6Extension}, true
	case "IPV6_NDISC_BAD_CODE":
		return Reason{Hubble: unknownICMPv6Code}, true
	case "IPV6_NDISC_FRAG", "IPV6_NDISC_HOP_LIMIT", "IPV6_NDISC_BAD_OPTIONS":
		return Reason{Hubble: forbiddenICMPv6}, true
	case "MAC_INVALID_SOURCE":
		return Reason{Hubble: invalidSourceMAC}, true
	case "VXLAN_VNI_NOT_FOUND":
		return Reason{Hubble: invalidVNI}, true
	case "FQ_HORIZON_LIMIT":
		return Reason{Hubble: reachedHorizon}, true

	case "SOCKET_RCVBUFF", "SOCKET_BACKLOG", "PROTO_MEM", "NETFILTER_DROP", "XFRM_POLICY", "SECURITY_HOOK",
		"TCP_AUTH_HDR", "TCP_MD5NOTFOUND", "TCP_MD5UNEXPECTED", "TCP_MD5FAILURE", "TCP_AONOTFOUND",
		"TCP_AOUNEXPECTED", "TCP_AOKEYNOTFOUND", "TCP_AOFAILURE", "TCP_FLAGS",
		"TCP_ZEROWINDOW", "TCP_OVERWINDOW", "TCP_RFC7323_PAWS", "TCP_RFC7323_TW_PAWS",
		"TCP_RFC7323_TSECR", "TCP_LISTEN_OVERFLOW", "TCP_INVALID_SEQUENCE", "TCP_INVALID_END_SEQUENCE",
		"TCP_INVALID_ACK_SEQUENCE", "TCP_INVALID_SYN", "TCP_FASTOPEN", "TCP_ACK_UNSENT_DATA",
		"TCP_OFO_QUEUE_PRUNE", "TCP_MINTTL", "BPF_CGROUP_EGRESS", "IPV6DISABLED", "NEIGH_CREATEFAIL",
		"NEIGH_FAILED", "NEIGH_QUEUEFULL", "NEIGH_DEAD", "NEIGH_HH_FILLFAIL", "TC_EGRESS", "TC_INGRESS", "XDP",
		"TC_COOKIE_ERROR", "TC_CHAIN_NOTFOUND", "TC_RECLASSIFY_LOOP", "QDISC_DROP", "QDISC_OVERLIMIT",
		"QDISC_CONGESTED", "CAKE_FLOOD", "FQ_BAND_LIMIT", "FQ_FLOW_LIMIT", "DUALPI2_STEP_DROP", "CPU_BACKLOG",
		"SKB_GSO_SEG", "SKB_UCOPY_FAULT", "DEV_READY", "FULL_RING", "NOMEM", "PFMEMALLOC", "INVALID_PROTO",
		"IP_INADDRERRORS", "IP_LOCALNET", "IP_INVALID_DEST", "PKT_TOO_BIG", "FRAG_REASM_TIMEOUT", "FRAG_TOO_FAR",
		"VXLAN_ENTRY_EXISTS", "NO_TX_TARGET", "IP_TUNNEL_ECN", "TUNNEL_TXINFO", "ARP_PVLAN_DISABLE",
		"MAC_IEEE_MAC_CONTROL", "BRIDGE_INGRESS_STP_STATE", "CAN_RX_INVALID_FRAME", "CANFD_RX_INVALID_FRAME",
		"CANXL_RX_INVALID_FRAME", "PSP_INPUT", "PSP_OUTPUT", "RECURSION_LIMIT":
		return Reason{}, true
	}
	return Reason{}, false
}

// NotSpecified is the kernel's reason for what has none: a loss only where Losing says
// so.
const NotSpecified = "NOT_SPECIFIED"

// Place is a kernel function that frees packets for no reason that is specified, and
// never one that somebody else still has, or nobody misses.
type Place struct {
	Function string
	// Arriving: they have come in at their interface, and nothing has noted that.
	Arriving bool
}

// Losing are all such places.
func Losing() []Place {
	return []Place{
		// Routes that are unreachable, prohibited or a black hole (net/ipv4/route.c,
		// net/core/dst.c), and all of IPv6 that have no way, before these had reasons
		// (net/ipv6/route.c).
		{"ip_error", false}, {"dst_discard_out", false}, {"ip6_pkt_drop", false}, {"ip6_pkt_discard", false},
		{"ip6_pkt_prohibit", false},
		// A neighbour of IPv6 that does not answer (net/ipv6/ndisc.c: ndisc_error_report).
		{"neigh_invalidate", false},
		// What XDP drops: of packets that are the kernel's already (net/core/dev.c), and
		// of a veth's (drivers/net/veth.c).
		{"do_xdp_generic", true}, {"netif_receive_generic_xdp", true}, {"veth_xdp_rcv_skb", true},
		// A veth whose other end is gone, or takes no frames that are so long
		// (include/linux/netdevice.h: ____dev_forward_skb).
		{"__dev_forward_skb", false}, {"__dev_forward_skb2", false}, {"veth_xmit", false},
		// A program that redirects to an interface that is not there (net/core/filter.c).
		{"skb_do_redirect", false}, {"__bpf_redirect", false},
	}
}

// isLosing tells whether packets are lost in a function for no reason that is specified.
func isLosing(function string) bool {
	return slices.ContainsFunc(Losing(), func(p Place) bool { return p.Function == function })
}

// MayBePolicy tells whether a packet was dropped by a rule or a program that somebody
// put in its way, as what enforces network policies does. Where the
// kernel has no reason for it, whose name is empty if it has none at all, the function
// decides.
func MayBePolicy(name, function string) bool {
	switch name {
	case "NETFILTER_DROP", "TC_INGRESS", "TC_EGRESS", "XDP":
		return true
	case NotSpecified:
		return function == "do_xdp_generic" || function == "netif_receive_generic_xdp" || function == "veth_xdp_rcv_skb"
	case "":
		return function == Hooks
	}
	return false
}

// Hooks is the kernel function that frees packets as the hooks of netfilter decide
// (net/netfilter/core.c). That of connection tracking does where its table has no room
// (net/netfilter/nf_conntrack_core.c: nf_conntrack_in).
const Hooks = "nf_hook_slow"

// At returns what is known of a reason where the kernel function that freed the
// packet says more than the reason does.
func At(name, function string) Reason {
	r, _ := Of(name)
	switch {
	case name == "IP_INHDR" && (function == "ip_forward" || function == "ip6_forward"):
		// All that forwarding calls so is a packet that has come too far
		// (net/ipv4/ip_forward.c).
		r.Hubble = timeToLiveExceeded
	case name == NotSpecified && isLosing(function):
		r.NoLoss = ""
		if function == "ip_error" {
			// The look-up failed, with another error than that there is no route
			// (net/ipv4/fib_semantics.c: fib_props).
			r.Hubble = routeLookupFailed
		}
	}
	return r
}
