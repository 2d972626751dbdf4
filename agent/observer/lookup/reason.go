package lookup

import (
	"strconv"

	flowpb "github.com/cilium/cilium/api/v1/flow"

	"github.com/fovea-obs/fovea/agent/fate"
	"github.com/fovea-obs/fovea/agent/history"
)

// Event types and sub-types, as in Cilium's pkg/monitor/api.
const (
	EventDrop   = 1
	EventTrace  = 4
	EventAccess = 129

	traceToEndpoint   = 0
	traceFromEndpoint = 5
	traceFromNetwork  = 10
	traceToNetwork    = 11
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

// DropReason is Hubble's reason for the drop of a record: unknown for None.
func (t *Tables) DropReason(number uint32) flowpb.DropReason {
	if number == fate.None {
		return flowpb.DropReason_DROP_REASON_UNKNOWN
	}
	return reasonOf(t.ReasonName(t.Fates.At(number).Reason))
}

// EventType is the type and sub-type of a record's event, in Cilium's numbers.
func (t *Tables) EventType(kind history.Kind, flags history.Flags, number uint32) (event, sub int32) {
	switch {
	case kind == history.KindDrop:
		if known := t.DropReason(number); known != 0 {
			return EventDrop, int32(known)
		}
		return EventDrop, otherDrop
	case flags&(history.FlagNetwork|history.FlagFromEndpoint) == history.FlagNetwork:
		return EventTrace, traceFromNetwork
	case flags&history.FlagNetwork != 0:
		return EventTrace, traceToNetwork
	case flags&history.FlagFromEndpoint != 0:
		return EventTrace, traceFromEndpoint
	}
	return EventTrace, traceToEndpoint
}

// ObservationPoint is where the packets of a record that is no drop were seen.
func ObservationPoint(flags history.Flags) flowpb.TraceObservationPoint {
	switch {
	case flags&(history.FlagNetwork|history.FlagFromEndpoint) == history.FlagNetwork:
		return flowpb.TraceObservationPoint_FROM_NETWORK
	case flags&history.FlagNetwork != 0:
		return flowpb.TraceObservationPoint_TO_NETWORK
	case flags&history.FlagFromEndpoint != 0:
		return flowpb.TraceObservationPoint_FROM_ENDPOINT
	}
	return flowpb.TraceObservationPoint_TO_ENDPOINT
}

// KernelReason is the kernel's name of why a packet was dropped, or its number.
// Kernels before 5.17 give none.
func (t *Tables) KernelReason(d fate.Fate) string {
	if d.Reason == 0 {
		return "no reason given"
	}
	if name := t.ReasonName(d.Reason); name != "" {
		return name
	}
	return "reason " + strconv.FormatUint(uint64(d.Reason), 10)
}

// Location is the kernel function that dropped a packet, or "" if that is not
// known. Its address is not told: clients could learn from it where the kernel
// lies in memory.
func (t *Tables) Location(d fate.Fate) string {
	if d.Location == 0 {
		return ""
	}
	return t.Symbol(d.Location)
}
