package encode

import (
	"math/bits"

	flowpb "github.com/cilium/cilium/api/v1/flow"

	"github.com/fovea-obs/fovea/agent/fate"
	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/agent/mac"
	"github.com/fovea-obs/fovea/agent/observer/lookup"
)

// packet appends the packet's layers. Each is shorter than 128 bytes, so that
// its length takes one.
func (e *Encoder) packet(b []byte, c *history.Columns, row int) []byte {
	if n := c.MACs[row]; n != mac.None && e.want.flow.has(flowEthernet) {
		b = append(b, e.frame(n)...)
	}
	if e.want.flow.has(flowIP) {
		b = e.ip(b, c, row)
	}
	if e.want.flow.has(flowL4) {
		if t := lookup.Transport(c.Protocol[row], c.Flags[row]); t != 0 {
			b = e.layer4(b, c, row, t)
		}
	}
	return b
}

const macSize = len("00:00:00:00:00:00")

// frame returns the field with a frame's hardware addresses; nothing if there are
// none.
func (e *Encoder) frame(number uint32) []byte {
	if m := e.frames.find(uint64(number)); m != nil {
		return *m
	}
	m := e.frames.claim(uint64(number))
	*m = (*m)[:0]
	if p := e.tables.MACs.At(number); p != (mac.Pair{}) {
		*m = appendEthernet(*m, &p.Source, &p.Destination, e.want.ethernet)
	}
	return *m
}

func appendEthernet(b []byte, src, dst *[6]byte, f fields) []byte {
	b = append(b, tag1(flowEthernet, typeBytes), 0)
	start := len(b)
	if f.has(ethernetSource) {
		b = appendMAC(append(b, tag1(ethernetSource, typeBytes), byte(macSize)), src)
	}
	if f.has(ethernetDestination) {
		b = appendMAC(append(b, tag1(ethernetDestination, typeBytes), byte(macSize)), dst)
	}
	b[start-1] = byte(len(b) - start)
	return b
}

func appendMAC(b []byte, a *[6]byte) []byte {
	const digits = "0123456789abcdef"
	return append(b,
		digits[a[0]>>4], digits[a[0]&15], ':',
		digits[a[1]>>4], digits[a[1]&15], ':',
		digits[a[2]>>4], digits[a[2]&15], ':',
		digits[a[3]>>4], digits[a[3]&15], ':',
		digits[a[4]>>4], digits[a[4]&15], ':',
		digits[a[5]>>4], digits[a[5]&15])
}

func (e *Encoder) ip(b []byte, c *history.Columns, row int) []byte {
	f, v6 := e.want.ip, c.Flags[row]&history.FlagIPv6 != 0
	b = append(b, tag1(flowIP, typeBytes), 0)
	start := len(b)
	if f.has(ipSource) {
		b = e.address(b, ipSource, &c.Src[row], v6)
	}
	if f.has(ipDestination) {
		b = e.address(b, ipDestination, &c.Dst[row], v6)
	}
	if f.has(ipVersion) {
		version := flowpb.IPVersion_IPv4
		if v6 {
			version = flowpb.IPVersion_IPv6
		}
		b = append(b, tag1(ipVersion, typeVarint), byte(version))
	}
	if n := c.Fate[row]; n != fate.None && f.has(ipSourceXlated) {
		b = append(b, e.translatedSource(n)...)
	}
	b[start-1] = byte(len(b) - start)
	return b
}

// translatedSource returns the field with the address that a source's was
// translated to; nothing if it was not.
func (e *Encoder) translatedSource(number uint32) []byte {
	if m := e.translated.find(uint64(number)); m != nil {
		return *m
	}
	m := e.translated.claim(uint64(number))
	*m = (*m)[:0]
	if a := e.tables.Fates.At(number).Source; a.IsValid() {
		*m = appendText(*m, ipSourceXlated, a.String())
	}
	return *m
}

func (e *Encoder) address(b []byte, number int, a *[16]byte, v6 bool) []byte {
	b = append(b, tag1(number, typeBytes), 0)
	start := len(b)
	b = e.octets.appendTo(b, a, v6)
	b[start-1] = byte(len(b) - start)
	return b
}

// layer4 appends the header of a transport.
func (e *Encoder) layer4(b []byte, c *history.Columns, row int, transport uint8) []byte {
	b = append(b, tag1(flowL4, typeBytes), 0)
	start := len(b)
	src, dst := uint64(c.SrcPort[row]), uint64(c.DstPort[row])
	want := &e.want
	switch {
	case transport == lookup.ProtoTCP && want.layer4.has(layer4TCP):
		b = e.tcp(b, src, dst, c.TCPFlags[row])
	case transport == lookup.ProtoUDP && want.layer4.has(layer4UDP):
		b = appendHeader(b, layer4UDP, want.udp, src, dst)
	case transport == lookup.ProtoSCTP && want.layer4.has(layer4SCTP):
		b = appendHeader(b, layer4SCTP, want.sctp, src, dst)
	case transport == lookup.ProtoICMP && want.layer4.has(layer4ICMPv4):
		b = appendHeader(b, layer4ICMPv4, want.icmpv4, src, dst)
	case transport == lookup.ProtoICMPv6 && want.layer4.has(layer4ICMPv6):
		b = appendHeader(b, layer4ICMPv6, want.icmpv6, src, dst)
	case transport == lookup.ProtoVRRP && want.layer4.has(layer4VRRP):
		b = appendHeader(b, layer4VRRP, want.vrrp, src, dst>>8, dst&0xff)
	case transport == lookup.ProtoIGMP && want.layer4.has(layer4IGMP):
		b = appendHeader(b, layer4IGMP, want.igmp, src)
	}
	b[start-1] = byte(len(b) - start)
	return b
}

// appendHeader appends a header whose fields have the numbers from 1 on.
func appendHeader(b []byte, number int, f fields, values ...uint64) []byte {
	b = append(b, tag1(number, typeBytes), 0)
	start := len(b)
	for i, v := range values {
		if f.has(i + 1) {
			b = appendNumber(b, i+1, v)
		}
	}
	b[start-1] = byte(len(b) - start)
	return b
}

func (e *Encoder) tcp(b []byte, src, dst uint64, flags uint16) []byte {
	f := e.want.tcp
	b = append(b, tag1(layer4TCP, typeBytes), 0)
	start := len(b)
	if f.has(portsSource) {
		b = appendNumber(b, portsSource, src)
	}
	if f.has(portsDestination) {
		b = appendNumber(b, portsDestination, dst)
	}
	if f.has(tcpFlags) {
		flags &= uint16(e.want.tcpFlags >> tcpFIN)
		b = append(b, tag1(tcpFlags, typeBytes), byte(2*bits.OnesCount16(flags)))
		for ; flags != 0; flags &= flags - 1 {
			b = append(b, tag1(tcpFIN+bits.TrailingZeros16(flags), typeVarint), 1)
		}
	}
	b[start-1] = byte(len(b) - start)
	return b
}
