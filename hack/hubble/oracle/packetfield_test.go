package oracle

import (
	"net/netip"
	"strconv"
	"strings"

	flowpb "github.com/cilium/cilium/api/v1/flow"
)

// packetFields are the fields on the packet, what became of it and where it was
// seen.
func packetFields() map[string]fieldGenerator {
	type filter = flowpb.FlowFilter
	return map[string]fieldGenerator{
		"uuid":           func(g *generator, f *filter) { f.Uuid = g.uuids() },
		"source_ip":      func(g *generator, f *filter) { f.SourceIp = g.ips(g.flow.GetIP().GetSource()) },
		"destination_ip": func(g *generator, f *filter) { f.DestinationIp = g.ips(g.flow.GetIP().GetDestination()) },
		"source_ip_xlated": func(g *generator, f *filter) {
			near := g.flow.GetIP().GetSourceXlated()
			if near == "" {
				near = g.flow.GetIP().GetSource()
			}
			f.SourceIpXlated = g.ips(near)
		},
		"source_port":      func(g *generator, f *filter) { f.SourcePort = g.ports() },
		"destination_port": func(g *generator, f *filter) { f.DestinationPort = g.ports() },
		"protocol":         func(g *generator, f *filter) { f.Protocol = g.protocols() },
		"tcp_flags":        func(g *generator, f *filter) { f.TcpFlags = g.tcpFlags() },
		"reply":            func(g *generator, f *filter) { f.Reply = g.bools() },
		"event_type":       func(g *generator, f *filter) { f.EventType = g.eventTypes() },
		"interface":        func(g *generator, f *filter) { f.Interface = g.interfaces() },
		"traffic_direction": func(g *generator, f *filter) {
			f.TrafficDirection = numbers(g, g.flow.GetTrafficDirection(), flowpb.TrafficDirection_name)
		},
		"verdict": func(g *generator, f *filter) { f.Verdict = numbers(g, g.flow.GetVerdict(), flowpb.Verdict_name) },
		"drop_reason_desc": func(g *generator, f *filter) {
			f.DropReasonDesc = numbers(g, g.flow.GetDropReasonDesc(), flowpb.DropReason_name)
		},
		"ip_version": func(g *generator, f *filter) {
			f.IpVersion = numbers(g, g.flow.GetIP().GetIpVersion(), flowpb.IPVersion_name)
		},
	}
}

func (g *generator) uuids() []string {
	var out []string
	for range 1 + g.IntN(5) {
		v := oneOf(g.Rand, g.near).GetUuid()
		switch g.IntN(8) {
		case 0:
			v = strings.ToUpper(v)
		case 1:
			v = g.mutate(v)
		case 2:
			v = oneOf(g.Rand, []string{"", "anything", "fedcba98-7654-8321-8000-0000ffffffff", "00000000-7654-8321-8000-000000000001"})
		}
		out = append(out, v)
	}
	return out
}

// ips makes addresses and prefixes: of a flow, of others, and in the forms that
// nobody writes them in.
func (g *generator) ips(near string) []string {
	return g.texts(func() string {
		a := oneOf(g.Rand, append(g.u.v4, g.u.v6...))
		if chance(g.Rand, 0.6) {
			a = netip.MustParseAddr(near)
		}
		switch g.IntN(8) {
		case 0, 1, 2:
			// Its other bits need not be 0.
			return netip.PrefixFrom(a, g.IntN(a.BitLen()+1)).String()
		case 3:
			return strings.ToUpper(a.StringExpanded())
		case 4:
			return netip.AddrFrom16(a.As16()).String()
		}
		return a.String()
	}, "", "x", "10.0.0.256", "10.0.0.01", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/08", "10.0.0.0/", "/8",
		"fe80::1%eth0", "fe80::1%eth0/64", "fe80::1%", "::/129", ":::", "10.0.0.1/24/8")
}

func (g *generator) ports() []string {
	return g.texts(func() string {
		s := strconv.Itoa(int(oneOf(g.Rand, g.u.ports)))
		if chance(g.Rand, 0.1) {
			return "00" + s
		}
		return s
	}, "", "65536", "-1", "+80", "8_0", "0x50", "http", " 80", "80-90")
}

func (g *generator) protocols() []string {
	return g.texts(func() string {
		p := oneOf(g.Rand, []string{
			"tcp", "udp", "sctp", "icmp", "icmpv4", "icmpv6", "vrrp", "igmp", "dns", "http",
		})
		if chance(g.Rand, 0.2) {
			return strings.ToUpper(p)
		}
		return p
	}, "", "quic", "6", "gre", "ipv4")
}

func (g *generator) tcpFlags() []*flowpb.TCPFlags {
	var out []*flowpb.TCPFlags
	for range g.count() {
		v := &flowpb.TCPFlags{}
		for _, set := range []*bool{&v.FIN, &v.SYN, &v.RST, &v.PSH, &v.ACK, &v.URG, &v.ECE, &v.CWR, &v.NS} {
			*set = chance(g.Rand, 0.15)
		}
		out = append(out, v)
	}
	return out
}

func (g *generator) bools() []bool {
	return oneOf(g.Rand, [][]bool{{true}, {false}, {true, false}, {false, false}})
}

func (g *generator) eventTypes() []*flowpb.EventTypeFilter {
	var out []*flowpb.EventTypeFilter
	for range g.count() {
		near := g.flow.GetEventType()
		v := &flowpb.EventTypeFilter{Type: near.GetType(), MatchSubType: chance(g.Rand, 0.5), SubType: near.GetSubType()}
		if chance(g.Rand, 0.3) {
			v.Type = oneOf(g.Rand, []int32{0, 1, 4, 5, 129, 1000, -1})
		}
		if chance(g.Rand, 0.3) {
			v.SubType = oneOf(g.Rand, []int32{0, 5, 133, 255, -1})
		}
		out = append(out, v)
	}
	return out
}

func (g *generator) interfaces() []*flowpb.NetworkInterface {
	var out []*flowpb.NetworkInterface
	for range g.count() {
		index := oneOf(g.Rand, keys(g.u.interfaces))
		if near := g.flow.GetInterface(); near != nil && chance(g.Rand, 0.5) {
			index = near.GetIndex()
		}
		v := &flowpb.NetworkInterface{Index: index, Name: g.u.interfaces[index]}
		switch g.IntN(5) {
		case 0:
			v.Index = 0
		case 1:
			v.Name = ""
		case 2:
			v.Name = g.part(v.GetName())
		case 3:
			v.Index = oneOf(g.Rand, []uint32{0, 1, 2, 9})
		}
		out = append(out, v)
	}
	return out
}
