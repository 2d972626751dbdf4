package encode

import (
	"strings"

	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/agent/observer/lookup"
)

// summary appends the line that clients print of a flow: what the packet is, of a
// drop the kernel's reason and where, and what policies say.
func (e *Encoder) summary(b []byte, c *history.Columns, row int, o *outcome) []byte {
	text := e.packetSummary(c, row)
	b = appendTag3(b, flowSummary, typeBytes)
	if o == nil {
		return append(appendVarint(b, uint64(len(text))), text...)
	}
	b = appendVarint(b, uint64(len(text)+len(o.summary)))
	return append(append(b, text...), o.summary...)
}

// packetSummary returns what a packet is.
func (e *Encoder) packetSummary(c *history.Columns, row int) []byte {
	key := summaryKey(c, row)
	if s := e.summaries.find(key); s != nil {
		return *s
	}
	s := e.summaries.claim(key)
	*s = append((*s)[:0], packetSummary(c, row)...)
	return *s
}

// summaryKey is equal for records with the same summary only.
func summaryKey(c *history.Columns, row int) uint64 {
	transport := lookup.Transport(c.Protocol[row], c.Flags[row])
	key := uint64(transport) << 32
	switch transport {
	case 0:
		return key | uint64(c.Protocol[row]) | uint64(c.Flags[row]&history.FlagIPv6)<<8
	case lookup.ProtoTCP:
		return key | uint64(c.TCPFlags[row])
	case lookup.ProtoUDP, lookup.ProtoSCTP:
		return key
	}
	return key | uint64(c.SrcPort[row])<<16 | uint64(c.DstPort[row])
}

func packetSummary(c *history.Columns, row int) string {
	src, dst := c.SrcPort[row], c.DstPort[row]
	switch lookup.Transport(c.Protocol[row], c.Flags[row]) {
	case lookup.ProtoTCP:
		return "TCP Flags: " + tcpNames(c.TCPFlags[row])
	case lookup.ProtoUDP:
		return "UDP"
	case lookup.ProtoSCTP:
		return "SCTP"
	case lookup.ProtoICMP:
		return "ICMPv4 " + icmpName(icmpv4Type(src), src, dst)
	case lookup.ProtoICMPv6:
		return "ICMPv6 " + icmpName(icmpv6Type(src), src, dst)
	case lookup.ProtoVRRP:
		return "VRRP " + vrrpType(src)
	case lookup.ProtoIGMP:
		return "IGMP " + igmpType(src)
	}
	if c.Flags[row]&history.FlagIPv6 != 0 {
		return "IPv6 " + protocolName(c.Protocol[row])
	}
	return "IPv4 " + protocolName(c.Protocol[row])
}

// tcpNames lists flags in the order that Hubble has them.
func tcpNames(bits uint16) string {
	names := make([]string, 0, 9)
	for _, f := range [...]struct {
		bit  uint16
		name string
	}{
		{lookup.TCPSYN, "SYN"}, {lookup.TCPACK, "ACK"}, {lookup.TCPRST, "RST"}, {lookup.TCPFIN, "FIN"}, {lookup.TCPPSH, "PSH"},
		{lookup.TCPURG, "URG"}, {lookup.TCPECE, "ECE"}, {lookup.TCPCWR, "CWR"}, {lookup.TCPNS, "NS"},
	} {
		if bits&f.bit != 0 {
			names = append(names, f.name)
		}
	}
	return strings.Join(names, ", ")
}
