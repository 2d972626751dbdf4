package lookup

import (
	"testing"

	flowpb "github.com/cilium/cilium/api/v1/flow"

	"github.com/fovea-obs/fovea/agent/fate"
)

// TestDropReason holds the numbers of the table of reasons against Hubble's names.
func TestDropReason(t *testing.T) {
	names := map[string]flowpb.DropReason{
		"NO_SOCKET":           flowpb.DropReason_SOCKET_LOOKUP_FAILED,
		"TCP_CSUM":            flowpb.DropReason_INVALID_PACKET_DROPPED,
		"IP_RPFILTER":         flowpb.DropReason_INVALID_SOURCE_IP,
		"IP_OUTNOROUTES":      flowpb.DropReason_FIB_LOOKUP_FAILED,
		"IP_NOPROTO":          flowpb.DropReason_UNKNOWN_L4_PROTOCOL,
		"UNHANDLED_PROTO":     flowpb.DropReason_UNSUPPORTED_L3_PROTOCOL,
		"IPV6_BAD_EXTHDR":     flowpb.DropReason_INVALID_IPV6_EXTENSION_HEADER,
		"IPV6_NDISC_BAD_CODE": flowpb.DropReason_UNKNOWN_ICMPV6_CODE,
		"IPV6_NDISC_FRAG":     flowpb.DropReason_FORBIDDEN_ICMPV6_MESSAGE,
		"MAC_INVALID_SOURCE":  flowpb.DropReason_INVALID_SOURCE_MAC,
		"VXLAN_VNI_NOT_FOUND": flowpb.DropReason_INVALID_VNI,
		"FQ_HORIZON_LIMIT":    flowpb.DropReason_REACHED_EDT_RATE_LIMITING_DROP_HORIZON,
		"NETFILTER_DROP":      flowpb.DropReason_DROP_REASON_UNKNOWN,
		"A_NEW_ONE":           flowpb.DropReason_DROP_REASON_UNKNOWN,
	}
	name := ""
	tables := &Tables{
		Fates: fate.NewTable(), ReasonName: func(uint32) string { return name },
		Symbol: func(address uint64) string { return map[uint64]string{1: "ip_forward", 2: "ip_rcv_core"}[address] },
	}
	for n, want := range names {
		name = n
		if got := tables.DropReason(tables.Fates.Number(fate.Fate{Reason: 7})); got != want {
			t.Errorf("%s is %v, want %v", n, got, want)
		}
	}
	name = "IP_INHDR"
	for location, want := range map[uint64]flowpb.DropReason{
		1: flowpb.DropReason_TTL_EXCEEDED, 2: flowpb.DropReason_INVALID_PACKET_DROPPED, 3: flowpb.DropReason_INVALID_PACKET_DROPPED,
	} {
		if got := tables.DropReason(tables.Fates.Number(fate.Fate{Reason: 7, Location: location})); got != want {
			t.Errorf("%s at %q is %v, want %v", name, tables.Symbol(location), got, want)
		}
	}
	if got := tables.DropReason(fate.None); got != flowpb.DropReason_DROP_REASON_UNKNOWN {
		t.Errorf("no drop is %v", got)
	}
}
