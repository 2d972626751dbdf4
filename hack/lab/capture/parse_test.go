package capture

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

var (
	addr4A = netip.MustParseAddr("192.0.2.1")
	addr4B = netip.MustParseAddr("192.0.2.2")
	addr6A = netip.MustParseAddr("2001:db8::1")
	addr6B = netip.MustParseAddr("2001:db8::2")
)

func ethernet(t layers.EthernetType) *layers.Ethernet {
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 1}
	return &layers.Ethernet{SrcMAC: mac, DstMAC: mac, EthernetType: t}
}

func ip4(p layers.IPProtocol) *layers.IPv4 {
	return &layers.IPv4{Version: 4, TTL: 9, Protocol: p, SrcIP: addr4A.AsSlice(), DstIP: addr4B.AsSlice()}
}

func ip6(p layers.IPProtocol) *layers.IPv6 {
	return &layers.IPv6{Version: 6, HopLimit: 9, NextHeader: p, SrcIP: addr6A.AsSlice(), DstIP: addr6B.AsSlice()}
}

func serialize(t *testing.T, all ...gopacket.SerializableLayer) []byte {
	t.Helper()
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true}, all...); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestParse(t *testing.T) {
	e4, e6 := ethernet(layers.EthernetTypeIPv4), ethernet(layers.EthernetTypeIPv6)
	udp := &layers.UDP{SrcPort: 1000, DstPort: 53}
	first4, later4 := ip4(layers.IPProtocolUDP), ip4(layers.IPProtocolUDP)
	first4.Flags, later4.FragOffset = layers.IPv4MoreFragments, 185
	key4 := Key{EtherType: 0x800, Src: addr4A, Dst: addr4B}
	key6 := Key{EtherType: 0x86dd, Src: addr6A, Dst: addr6B}
	with := func(k Key, proto uint8, src, dst uint16) Key {
		k.Proto, k.SrcPort, k.DstPort = proto, src, dst
		return k
	}
	later := func(k Key) Key { k.Later = true; return k }
	echo := func(k Key) Key { k.EchoID = 77; return k }
	for name, test := range map[string]struct {
		layers []gopacket.SerializableLayer
		key    Key
		count  Count
	}{
		"TCP": {
			[]gopacket.SerializableLayer{e4, ip4(layers.IPProtocolTCP), &layers.TCP{SrcPort: 1, DstPort: 2, SYN: true, ACK: true}},
			with(key4, TCP, 1, 2), Count{SYNACKs: 1, Flags: SYN | ACK, FirstFlags: SYN | ACK},
		},
		"TCP end": {
			[]gopacket.SerializableLayer{e6, ip6(layers.IPProtocolTCP), &layers.TCP{SrcPort: 1, DstPort: 2, FIN: true, RST: true}},
			with(key6, TCP, 1, 2), Count{FINs: 1, RSTs: 1, Flags: FIN | RST, FirstFlags: FIN | RST},
		},
		"UDP": {[]gopacket.SerializableLayer{e6, ip6(layers.IPProtocolUDP), udp}, with(key6, UDP, 1000, 53), Count{}},
		"SCTP": {
			[]gopacket.SerializableLayer{e4, ip4(layers.IPProtocolSCTP), &layers.SCTP{SrcPort: 3, DstPort: 4}},
			with(key4, SCTP, 3, 4), Count{},
		},
		"first fragment": {[]gopacket.SerializableLayer{e4, first4, udp}, with(key4, UDP, 1000, 53), Count{Fragments: 1}},
		"later fragment": {
			[]gopacket.SerializableLayer{e4, later4, gopacket.Payload("not a header")},
			later(with(key4, UDP, 0, 0)), Count{Fragments: 1},
		},
		"first fragment of IPv6": {
			[]gopacket.SerializableLayer{
				e6, ip6(layers.IPProtocolIPv6Fragment),
				&layers.IPv6Fragment{NextHeader: layers.IPProtocolUDP, MoreFragments: true}, udp,
			},
			with(key6, UDP, 1000, 53), Count{Fragments: 1},
		},
		"later fragment of IPv6": {
			[]gopacket.SerializableLayer{
				e6, ip6(layers.IPProtocolIPv6Fragment),
				&layers.IPv6Fragment{NextHeader: layers.IPProtocolUDP, FragmentOffset: 185}, gopacket.Payload("not a header"),
			},
			later(with(key6, UDP, 0, 0)), Count{Fragments: 1},
		},
		"ICMP echo": {
			[]gopacket.SerializableLayer{e4, ip4(layers.IPProtocolICMPv4), &layers.ICMPv4{TypeCode: 0x800, Id: 77}},
			echo(with(key4, ICMP, 8, 0)), Count{},
		},
		"ICMPv6 echo": {
			[]gopacket.SerializableLayer{
				e6, ip6(layers.IPProtocolICMPv6), &layers.ICMPv6{TypeCode: 0x8100}, &layers.ICMPv6Echo{Identifier: 77},
			},
			echo(with(key6, ICMPv6, 129, 0)), Count{},
		},
		"ARP":       {[]gopacket.SerializableLayer{ethernet(layers.EthernetTypeARP), gopacket.Payload("arp")}, Key{EtherType: 0x806}, Count{}},
		"short TCP": {[]gopacket.SerializableLayer{e4, ip4(layers.IPProtocolTCP), gopacket.Payload("short")}, with(key4, TCP, 0, 0), Count{Malformed: 1}},
		"short IP":  {[]gopacket.SerializableLayer{e6, gopacket.Payload("short")}, Key{EtherType: 0x86dd}, Count{Malformed: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Unix(9, 0)
			key, count := new(parser).parse(frame{
				ifindex: 5, direction: Out, time: now, length: 1500, data: serialize(t, test.layers...),
			})
			test.key.Interface, test.key.Direction = 5, Out
			test.count.Packets, test.count.Bytes = 1, 1500
			test.count.First, test.count.Last = now, now
			if diff := cmp.Diff(test.key, key, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
				t.Errorf("key (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.count, count); diff != "" {
				t.Errorf("count (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDestinationOptionsAreSkipped(t *testing.T) {
	options := gopacket.Payload{uint8(layers.IPProtocolUDP), 0, 1, 4, 0, 0, 0, 0}
	raw := serialize(t, ethernet(layers.EthernetTypeIPv6), ip6(layers.IPProtocolIPv6Destination), options, gopacket.Payload{3, 232, 0, 53, 0, 8, 0, 0})
	key, count := new(parser).parse(frame{data: raw})
	if key.Proto != UDP || key.SrcPort != 1000 || key.DstPort != 53 || count.Malformed != 0 {
		t.Errorf("%+v %+v", key, count)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 8, 60, 1})
	var p parser
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, count := p.parse(frame{data: data}); count.Packets != 1 {
			t.Error("packet not counted")
		}
	})
}
