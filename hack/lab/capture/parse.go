package capture

import (
	"errors"
	"net/netip"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// frame is a packet as the ring delivers it.
type frame struct {
	ifindex   int
	direction Direction
	time      time.Time
	length    int
	data      []byte // valid until the next frame
}

// parser finds out the key and the count of frames. Its layers are reused.
type parser struct {
	eth   layers.Ethernet
	ip4   layers.IPv4
	ip6   layers.IPv6
	frag6 layers.IPv6Fragment
	dest6 layers.IPv6Destination
	tcp   layers.TCP
	udp   layers.UDP
	sctp  layers.SCTP
	icmp4 layers.ICMPv4
	icmp6 layers.ICMPv6
	echo6 layers.ICMPv6Echo
}

// parse returns the frame's key and its count as a single packet.
func (p *parser) parse(f frame) (Key, Count) {
	key := Key{Interface: f.ifindex, Direction: f.direction}
	count := Count{Packets: 1, Bytes: uint64(f.length), First: f.time, Last: f.time}
	if err := p.ethernet(f.data, &key, &count); err != nil {
		count.Malformed = 1
	}
	return key, count
}

func (p *parser) ethernet(data []byte, key *Key, count *Count) error {
	if err := p.eth.DecodeFromBytes(data, gopacket.NilDecodeFeedback); err != nil {
		return err
	}
	key.EtherType = uint16(p.eth.EthernetType)
	switch p.eth.EthernetType {
	case layers.EthernetTypeIPv4:
		return p.ipv4(p.eth.Payload, key, count)
	case layers.EthernetTypeIPv6:
		return p.ipv6(p.eth.Payload, key, count)
	}
	return nil
}

func (p *parser) ipv4(data []byte, key *Key, count *Count) error {
	if err := p.ip4.DecodeFromBytes(data, gopacket.NilDecodeFeedback); err != nil {
		return err
	}
	key.Src, _ = netip.AddrFromSlice(p.ip4.SrcIP)
	key.Dst, _ = netip.AddrFromSlice(p.ip4.DstIP)
	key.Proto = uint8(p.ip4.Protocol)
	if p.ip4.FragOffset != 0 || p.ip4.Flags&layers.IPv4MoreFragments != 0 {
		count.Fragments = 1
	}
	if p.ip4.FragOffset != 0 {
		key.Later = true
		return nil
	}
	return p.transport(p.ip4.Protocol, p.ip4.Payload, key, count)
}

func (p *parser) ipv6(data []byte, key *Key, count *Count) error {
	if err := p.ip6.DecodeFromBytes(data, gopacket.NilDecodeFeedback); err != nil {
		return err
	}
	key.Src, _ = netip.AddrFromSlice(p.ip6.SrcIP)
	key.Dst, _ = netip.AddrFromSlice(p.ip6.DstIP)
	next, payload := p.ip6.NextHeader, p.ip6.Payload
	if p.ip6.HopByHop != nil {
		next = p.ip6.HopByHop.NextHeader
	}
	next, payload, err := p.extensions(next, payload, key, count)
	key.Proto = uint8(next)
	if err != nil || key.Later {
		return err
	}
	return p.transport(next, payload, key, count)
}

// extensions skips IPv6 extension headers.
func (p *parser) extensions(next layers.IPProtocol, data []byte, key *Key, count *Count) (layers.IPProtocol, []byte, error) {
	for {
		var err error
		switch next {
		case layers.IPProtocolIPv6Destination:
			if err = p.dest6.DecodeFromBytes(data, gopacket.NilDecodeFeedback); err == nil {
				next, data = p.dest6.NextHeader, data[p.dest6.ActualLength:]
			}
		case layers.IPProtocolIPv6Fragment:
			if err = p.frag6.DecodeFromBytes(data, gopacket.NilDecodeFeedback); err == nil {
				next, data = p.frag6.NextHeader, p.frag6.Payload
				count.Fragments = 1
				key.Later = p.frag6.FragmentOffset != 0
			}
		default:
			return next, data, nil
		}
		if err != nil || key.Later {
			return next, data, err
		}
	}
}

func (p *parser) transport(proto layers.IPProtocol, data []byte, key *Key, count *Count) error {
	switch proto {
	case layers.IPProtocolTCP:
		return p.tcpSegment(data, key, count)
	case layers.IPProtocolUDP:
		if err := p.udp.DecodeFromBytes(data, gopacket.NilDecodeFeedback); err != nil {
			return err
		}
		key.SrcPort, key.DstPort = uint16(p.udp.SrcPort), uint16(p.udp.DstPort)
	case layers.IPProtocolSCTP:
		if err := p.sctp.DecodeFromBytes(data, gopacket.NilDecodeFeedback); err != nil {
			return err
		}
		key.SrcPort, key.DstPort = uint16(p.sctp.SrcPort), uint16(p.sctp.DstPort)
	case layers.IPProtocolICMPv4:
		return p.icmp(data, key)
	case layers.IPProtocolICMPv6:
		return p.icmpv6(data, key)
	}
	return nil
}

func (p *parser) tcpSegment(data []byte, key *Key, count *Count) error {
	if err := p.tcp.DecodeFromBytes(data, gopacket.NilDecodeFeedback); err != nil {
		return err
	}
	key.SrcPort, key.DstPort = uint16(p.tcp.SrcPort), uint16(p.tcp.DstPort)
	if len(p.tcp.Contents) < 20 {
		return errors.New("short TCP header")
	}
	flags := p.tcp.Contents[13]
	count.Flags, count.FirstFlags = flags, flags
	count.FINs = uint64(flags & FIN / FIN)
	count.RSTs = uint64(flags & RST / RST)
	switch flags & (SYN | ACK) {
	case SYN:
		count.SYNs = 1
	case SYN | ACK:
		count.SYNACKs = 1
	}
	return nil
}

func (p *parser) icmp(data []byte, key *Key) error {
	if err := p.icmp4.DecodeFromBytes(data, gopacket.NilDecodeFeedback); err != nil {
		return err
	}
	key.SrcPort, key.DstPort = uint16(p.icmp4.TypeCode.Type()), uint16(p.icmp4.TypeCode.Code())
	switch p.icmp4.TypeCode.Type() {
	case layers.ICMPv4TypeEchoRequest, layers.ICMPv4TypeEchoReply:
		key.EchoID = p.icmp4.Id
	}
	return nil
}

func (p *parser) icmpv6(data []byte, key *Key) error {
	if err := p.icmp6.DecodeFromBytes(data, gopacket.NilDecodeFeedback); err != nil {
		return err
	}
	key.SrcPort, key.DstPort = uint16(p.icmp6.TypeCode.Type()), uint16(p.icmp6.TypeCode.Code())
	switch p.icmp6.TypeCode.Type() {
	case layers.ICMPv6TypeEchoRequest, layers.ICMPv6TypeEchoReply:
		if err := p.echo6.DecodeFromBytes(p.icmp6.Payload, gopacket.NilDecodeFeedback); err != nil {
			return err
		}
		key.EchoID = p.echo6.Identifier
	}
	return nil
}
