package lookup

import (
	flowpb "github.com/cilium/cilium/api/v1/flow"

	"github.com/fovea-obs/fovea/agent/history"
)

// IP protocol numbers of which flows tell more than the number.
const (
	ProtoICMP   = 1
	ProtoIGMP   = 2
	ProtoTCP    = 6
	ProtoUDP    = 17
	ProtoICMPv6 = 58
	ProtoVRRP   = 112
	ProtoSCTP   = 132
)

// Bits of a record's TCP flags.
const (
	TCPFIN = 1 << iota
	TCPSYN
	TCPRST
	TCPPSH
	TCPACK
	TCPURG
	TCPECE
	TCPCWR
	TCPNS
)

// Transport is the protocol whose header the record tells of: 0 if there was
// none to read, or none that flows have a message for.
func Transport(protocol uint8, flags history.Flags) uint8 {
	if flags&history.FlagNoPorts != 0 {
		return 0
	}
	switch protocol {
	case ProtoICMP, ProtoIGMP, ProtoTCP, ProtoUDP, ProtoICMPv6, ProtoVRRP, ProtoSCTP:
		return protocol
	}
	return 0
}

// HasPorts tells whether the record's ports are ports.
func HasPorts(protocol uint8, flags history.Flags) bool {
	return flags&history.FlagNoPorts == 0 &&
		(protocol == ProtoTCP || protocol == ProtoUDP || protocol == ProtoSCTP)
}

// TCPBits are a record's bits for TCP flags.
func TCPBits(f *flowpb.TCPFlags) uint16 {
	var b uint16
	for _, flag := range []struct {
		set bool
		bit uint16
	}{
		{f.GetFIN(), TCPFIN}, {f.GetSYN(), TCPSYN}, {f.GetRST(), TCPRST},
		{f.GetPSH(), TCPPSH}, {f.GetACK(), TCPACK}, {f.GetURG(), TCPURG},
		{f.GetECE(), TCPECE}, {f.GetCWR(), TCPCWR}, {f.GetNS(), TCPNS},
	} {
		if flag.set {
			b |= flag.bit
		}
	}
	return b
}
