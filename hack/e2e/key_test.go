package e2e

import (
	"fmt"
	"net/netip"
	"strings"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/fovea-obs/fovea/hack/lab/capture"
)

// key is what the packets of one connection in one direction at one interface
// share, as the agent and the capture both can tell it.
type key struct {
	iface    int
	from     bool // sent by the endpoint behind the interface
	proto    uint8
	src, dst netip.Addr
	// Ports, or type and code of ICMP; 0 where there are none.
	a, b uint16
	// later tells fragments that are not the first.
	later bool
}

func (k key) String() string {
	way := "to"
	if k.from {
		way = "from"
	}
	s := fmt.Sprintf("%s endpoint at %d, protocol %d, %s > %s", way, k.iface, k.proto,
		netip.AddrPortFrom(k.src, k.a), netip.AddrPortFrom(k.dst, k.b))
	if k.later {
		s += ", later fragment"
	}
	return s
}

// sum is what was counted under a key.
type sum struct {
	packets, bytes uint64
	flags          uint8 // TCP flags, FIN lowest
}

func (s *sum) add(o sum) {
	s.packets += o.packets
	s.bytes += o.bytes
	s.flags |= o.flags
}

// captured adds up what a capture saw of IP.
func captured(r capture.Result) map[key]sum {
	sums := map[key]sum{}
	for k, c := range r.Flows {
		if !k.Src.IsValid() {
			continue
		}
		id := key{
			iface: k.Interface, from: k.Direction == capture.In, proto: k.Proto,
			src: k.Src, dst: k.Dst, a: k.SrcPort, b: k.DstPort, later: k.Later,
		}
		s := sums[id]
		s.add(sum{packets: c.Packets, bytes: c.Bytes, flags: c.Flags})
		sums[id] = s
	}
	return sums
}

// keyOf is the key of a flow. It panics on a flow that is not whole.
func keyOf(f *flowpb.Flow) key {
	k := key{
		iface: int(f.GetInterface().GetIndex()),
		from:  isSent(f.GetTraceObservationPoint()),
		src:   netip.MustParseAddr(f.GetIP().GetSource()),
		dst:   netip.MustParseAddr(f.GetIP().GetDestination()),
	}
	a, b := uint32(0), uint32(0)
	switch l4 := f.GetL4().GetProtocol().(type) {
	case *flowpb.Layer4_TCP:
		k.proto, a, b = capture.TCP, l4.TCP.SourcePort, l4.TCP.DestinationPort
	case *flowpb.Layer4_UDP:
		k.proto, a, b = capture.UDP, l4.UDP.SourcePort, l4.UDP.DestinationPort
	case *flowpb.Layer4_SCTP:
		k.proto, a, b = capture.SCTP, l4.SCTP.SourcePort, l4.SCTP.DestinationPort
	case *flowpb.Layer4_ICMPv4:
		k.proto, a, b = capture.ICMP, l4.ICMPv4.Type, l4.ICMPv4.Code
	case *flowpb.Layer4_ICMPv6:
		k.proto, a, b = capture.ICMPv6, l4.ICMPv6.Type, l4.ICMPv6.Code
	case *flowpb.Layer4_IGMP:
		k.proto = capture.IGMP
	case *flowpb.Layer4_VRRP:
		k.proto = capture.VRRP
	default:
		k.proto, k.later = fragmentOf(f.GetSummary()), true
	}
	k.a, k.b = uint16(a), uint16(b)
	return k
}

// isSent tells whether the endpoint behind an interface sent what was seen there: at
// one to the network, that is the node.
func isSent(p flowpb.TraceObservationPoint) bool {
	return p == flowpb.TraceObservationPoint_FROM_ENDPOINT || p == flowpb.TraceObservationPoint_TO_NETWORK
}

// fragmentOf is the protocol of a fragment, of which a flow tells in words only.
func fragmentOf(summary string) uint8 {
	switch _, name, _ := strings.Cut(summary, " "); name {
	case "UDP":
		return capture.UDP
	case "ICMP":
		return capture.ICMP
	case "ICMPv6":
		return capture.ICMPv6
	}
	return 0
}

// sumOf is what a flow counts.
func sumOf(f *flowpb.Flow) sum {
	e := extensionsOf(f)
	return sum{
		packets: uint64(e["packets"].GetNumberValue()), bytes: uint64(e["bytes"].GetNumberValue()),
		flags: flagsOf(f.GetL4().GetTCP().GetFlags()),
	}
}

// extensionsOf is what a flow says that Hubble has no field for.
func extensionsOf(f *flowpb.Flow) map[string]*structpb.Value {
	var s structpb.Struct
	if f.GetExtensions().UnmarshalTo(&s) != nil {
		return nil
	}
	return s.Fields
}

// flagsOf writes flags as in a packet.
func flagsOf(f *flowpb.TCPFlags) (bits uint8) {
	for i, set := range []bool{
		f.GetFIN(), f.GetSYN(), f.GetRST(), f.GetPSH(), f.GetACK(), f.GetURG(), f.GetECE(), f.GetCWR(),
	} {
		if set {
			bits |= 1 << i
		}
	}
	return bits
}
