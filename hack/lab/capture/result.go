package capture

import (
	"fmt"
	"net/netip"
	"time"
)

// Direction is the way a packet passes an interface.
type Direction uint8

// Directions as seen from the namespace of the capture.
const (
	In  Direction = iota + 1 // received by the interface
	Out                      // sent by the interface
)

// String is "in" or "out".
func (d Direction) String() string {
	switch d {
	case In:
		return "in"
	case Out:
		return "out"
	}
	return fmt.Sprintf("Direction(%d)", uint8(d))
}

// Protocol numbers of IP as they appear in [Key].
const (
	ICMP   = 1
	IGMP   = 2
	TCP    = 6
	UDP    = 17
	ICMPv6 = 58
	VRRP   = 112
	SCTP   = 132
)

// Key is what packets of one flow in one direction on one interface share.
type Key struct {
	Interface int // index
	Direction Direction
	EtherType uint16
	// Src, Dst and Proto are set for IP only. Proto is the header after the
	// IPv6 extension headers that can be skipped.
	Src, Dst netip.Addr
	Proto    uint8
	// SrcPort and DstPort are the ports of TCP, UDP and SCTP, the type and the
	// code of ICMP and ICMPv6, and otherwise 0.
	SrcPort, DstPort uint16
	// EchoID is the identifier of an ICMP or ICMPv6 echo.
	EchoID uint16
	// Later tells fragments other than the first, which have no ports.
	Later bool
}

// TCP flags as in [Count].
const (
	FIN uint8 = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
)

// Count is what was seen of one or several flows.
type Count struct {
	Packets    uint64
	Bytes      uint64 // from the Ethernet header on
	Fragments  uint64 // how many of the packets are fragments
	Malformed  uint64 // how many of the packets could not be parsed to the end
	Flags      uint8  // TCP flags of all packets together
	FirstFlags uint8  // TCP flags of the first packet
	// SYNs, FINs and RSTs count the packets with that flag; a SYN with an ACK
	// counts in SYNACKs only.
	SYNs, SYNACKs, FINs, RSTs uint64
	First, Last               time.Time
}

// add merges o into c.
func (c *Count) add(o Count) {
	if o.Packets == 0 {
		return
	}
	if c.Packets == 0 || o.First.Before(c.First) {
		c.First, c.FirstFlags = o.First, o.FirstFlags
	}
	if o.Last.After(c.Last) {
		c.Last = o.Last
	}
	c.Packets += o.Packets
	c.Bytes += o.Bytes
	c.Fragments += o.Fragments
	c.Malformed += o.Malformed
	c.Flags |= o.Flags
	c.SYNs += o.SYNs
	c.SYNACKs += o.SYNACKs
	c.FINs += o.FINs
	c.RSTs += o.RSTs
}

// Packet is one captured packet.
type Packet struct {
	Key    Key
	Time   time.Time
	Length int    // original length in bytes, from the Ethernet header on
	Data   []byte // the packet's beginning, cut off at the snap length
}

// Result is what a capture saw.
type Result struct {
	Flows      map[Key]Count
	Interfaces map[int]string // names of the interfaces by index
	Packets    []Packet       // in the order they were seen, if kept
}

// Sum merges the counts of the flows that match, or of all if match is nil.
func (r Result) Sum(match func(Key) bool) Count {
	var sum Count
	for k, c := range r.Flows {
		if match == nil || match(k) {
			sum.add(c)
		}
	}
	return sum
}

// Index is the index of the interface with that name, 0 if there is none.
func (r Result) Index(name string) int {
	for i, n := range r.Interfaces {
		if n == name {
			return i
		}
	}
	return 0
}
