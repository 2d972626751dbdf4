package observer

import (
	"strconv"

	flowpb "github.com/cilium/cilium/api/v1/flow"

	"github.com/fovea-obs/fovea/agent/history"
)

// otherDrop is the sub-type of drop events whose reason is none of Hubble's.
// Clients print a text for most lower numbers (0 is "Success"), and none for
// this one.
const otherDrop = 255

// reasonOf maps a name of the kernel's enum skb_drop_reason to Hubble's reason,
// only where both say the same. The kernel never says that a policy denied a
// packet: NETFILTER_DROP is whatever a rule of netfilter dropped.
func reasonOf(name string) flowpb.DropReason {
	switch name {
	case "IP_INHDR", "IP_CSUM", "TCP_CSUM", "UDP_CSUM", "ICMP_CSUM", "SKB_CSUM",
		"HDR_TRUNC", "PKT_TOO_SMALL":
		return flowpb.DropReason_INVALID_PACKET_DROPPED
	case "IP_RPFILTER", "IP_INVALID_SOURCE", "IP_LOCAL_SOURCE":
		return flowpb.DropReason_INVALID_SOURCE_IP
	case "IP_INNOROUTES", "IP_OUTNOROUTES":
		return flowpb.DropReason_FIB_LOOKUP_FAILED
	case "IP_NOPROTO":
		return flowpb.DropReason_UNKNOWN_L4_PROTOCOL
	case "UNHANDLED_PROTO":
		return flowpb.DropReason_UNSUPPORTED_L3_PROTOCOL
	case "IPV6_BAD_EXTHDR":
		return flowpb.DropReason_INVALID_IPV6_EXTENSION_HEADER
	case "IPV6_NDISC_BAD_CODE":
		return flowpb.DropReason_UNKNOWN_ICMPV6_CODE
	case "MAC_INVALID_SOURCE":
		return flowpb.DropReason_INVALID_SOURCE_MAC
	case "VXLAN_VNI_NOT_FOUND":
		return flowpb.DropReason_INVALID_VNI
	case "FQ_HORIZON_LIMIT":
		return flowpb.DropReason_REACHED_EDT_RATE_LIMITING_DROP_HORIZON
	}
	return flowpb.DropReason_DROP_REASON_UNKNOWN
}

// dropReason is Hubble's reason for a record's verdict and kernel reason: unknown
// for all that was not dropped.
func (c *Config) dropReason(verdict uint8, reason uint32) flowpb.DropReason {
	if flowpb.Verdict(verdict) != flowpb.Verdict_DROPPED {
		return flowpb.DropReason_DROP_REASON_UNKNOWN
	}
	return reasonOf(c.ReasonName(reason))
}

// eventType is the type and sub-type of a record's event, in Cilium's numbers.
func (c *Config) eventType(kind history.Kind, flags history.Flags, reason uint32) (event, sub int32) {
	switch {
	case kind == history.KindDrop:
		if known := reasonOf(c.ReasonName(reason)); known != 0 {
			return eventDrop, int32(known)
		}
		return eventDrop, otherDrop
	case flags&history.FlagFromEndpoint != 0:
		return eventTrace, traceFromEndpoint
	}
	return eventTrace, traceToEndpoint
}

// kernelReason is the kernel's name of a reason, or its number. Kernels before
// 5.17 give none.
func (c *Config) kernelReason(reason uint32) string {
	if reason == 0 {
		return "no reason given"
	}
	if name := c.ReasonName(reason); name != "" {
		return name
	}
	return "reason " + strconv.FormatUint(uint64(reason), 10)
}

// location is the kernel function that dropped a packet, or "" if that is not
// known. Its address is not told: clients could learn from it where the kernel
// lies in memory.
func (c *Config) location(address uint64) string {
	if address == 0 {
		return ""
	}
	return c.Symbol(address)
}
