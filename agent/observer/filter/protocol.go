package filter

import (
	"strings"

	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/agent/observer/lookup"
)

func protocols(c *history.Columns) *[history.ChunkSize]uint8 { return &c.Protocol }

func (c *builder) protocol(values []string) error {
	var wanted table
	for _, v := range values {
		protocols, ok := protocolsOf(strings.ToLower(v))
		if !ok {
			return c.invalid(v, "icmp, icmpv4, icmpv6, tcp, udp, sctp, vrrp, igmp, dns or http")
		}
		for _, p := range protocols {
			wanted.add(p)
		}
	}
	if err := c.add(byteIn(protocols, &wanted, func(s *history.Summary) *history.ByteSet { return &s.Protocol })); err != nil {
		return err
	}
	return c.add(withTransport())
}

// withTransport keeps the rows whose transport header was there to read.
func withTransport() predicate {
	var wanted table
	for f := range wanted {
		if history.Flags(f)&history.FlagNoPorts == 0 {
			wanted.add(uint8(f))
		}
	}
	return byteIn(flags, &wanted, nil)
}

// protocolsOf returns the transports that a name stands for: none for those
// above them, which flows do not tell.
func protocolsOf(name string) (protocols []uint8, ok bool) {
	switch name {
	case "icmp":
		return []uint8{lookup.ProtoICMP, lookup.ProtoICMPv6}, true
	case "icmpv4":
		return []uint8{lookup.ProtoICMP}, true
	case "icmpv6":
		return []uint8{lookup.ProtoICMPv6}, true
	case "tcp":
		return []uint8{lookup.ProtoTCP}, true
	case "udp":
		return []uint8{lookup.ProtoUDP}, true
	case "sctp":
		return []uint8{lookup.ProtoSCTP}, true
	case "vrrp":
		return []uint8{lookup.ProtoVRRP}, true
	case "igmp":
		return []uint8{lookup.ProtoIGMP}, true
	case "dns", "http":
		return nil, true
	}
	return nil, false
}
