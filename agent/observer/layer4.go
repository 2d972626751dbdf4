package observer

import (
	flowpb "github.com/cilium/cilium/api/v1/flow"

	"github.com/fovea-obs/fovea/agent/history"
)

// IP protocol numbers of which flows tell more than the number.
const (
	protoICMP   = 1
	protoIGMP   = 2
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58
	protoVRRP   = 112
	protoSCTP   = 132
)

// Bits of a record's TCP flags.
const (
	tcpFIN = 1 << iota
	tcpSYN
	tcpRST
	tcpPSH
	tcpACK
	tcpURG
	tcpECE
	tcpCWR
	tcpNS
)

// transport is the protocol whose header the record tells of: 0 if there was
// none to read, or none that flows have a message for.
func transport(protocol uint8, flags history.Flags) uint8 {
	if flags&history.FlagNoPorts != 0 {
		return 0
	}
	switch protocol {
	case protoICMP, protoIGMP, protoTCP, protoUDP, protoICMPv6, protoVRRP, protoSCTP:
		return protocol
	}
	return 0
}

// hasPorts tells whether the record's ports are ports.
func hasPorts(protocol uint8, flags history.Flags) bool {
	return flags&history.FlagNoPorts == 0 &&
		(protocol == protoTCP || protocol == protoUDP || protocol == protoSCTP)
}

func (e *encoder) l4(f *flowpb.Flow, r *row) {
	src, dst := uint32(r.SrcPort), uint32(r.DstPort)
	f.L4 = &flowpb.Layer4{}
	switch transport(r.Protocol, r.Flags) {
	case protoTCP:
		f.L4.Protocol = &flowpb.Layer4_TCP{TCP: &flowpb.TCP{
			SourcePort: src, DestinationPort: dst, Flags: tcpFlags(r.TCPFlags),
		}}
	case protoUDP:
		f.L4.Protocol = &flowpb.Layer4_UDP{UDP: &flowpb.UDP{SourcePort: src, DestinationPort: dst}}
	case protoSCTP:
		f.L4.Protocol = &flowpb.Layer4_SCTP{SCTP: &flowpb.SCTP{SourcePort: src, DestinationPort: dst}}
	case protoICMP:
		f.L4.Protocol = &flowpb.Layer4_ICMPv4{ICMPv4: &flowpb.ICMPv4{Type: src, Code: dst}}
	case protoICMPv6:
		f.L4.Protocol = &flowpb.Layer4_ICMPv6{ICMPv6: &flowpb.ICMPv6{Type: src, Code: dst}}
	case protoVRRP:
		f.L4.Protocol = &flowpb.Layer4_VRRP{VRRP: &flowpb.VRRP{Type: src, Vrid: dst >> 8, Priority: dst & 0xff}}
	case protoIGMP:
		f.L4.Protocol = &flowpb.Layer4_IGMP{IGMP: &flowpb.IGMP{Type: src}}
	default:
		f.L4 = nil
	}
}

func tcpFlags(b uint16) *flowpb.TCPFlags {
	return &flowpb.TCPFlags{
		FIN: b&tcpFIN != 0, SYN: b&tcpSYN != 0, RST: b&tcpRST != 0,
		PSH: b&tcpPSH != 0, ACK: b&tcpACK != 0, URG: b&tcpURG != 0,
		ECE: b&tcpECE != 0, CWR: b&tcpCWR != 0, NS: b&tcpNS != 0,
	}
}

// tcpBits is the inverse of tcpFlags.
func tcpBits(f *flowpb.TCPFlags) uint16 {
	var b uint16
	for _, flag := range []struct {
		set bool
		bit uint16
	}{
		{f.GetFIN(), tcpFIN}, {f.GetSYN(), tcpSYN}, {f.GetRST(), tcpRST},
		{f.GetPSH(), tcpPSH}, {f.GetACK(), tcpACK}, {f.GetURG(), tcpURG},
		{f.GetECE(), tcpECE}, {f.GetCWR(), tcpCWR}, {f.GetNS(), tcpNS},
	} {
		if flag.set {
			b |= flag.bit
		}
	}
	return b
}
