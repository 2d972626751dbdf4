package observer

import (
	"slices"
	"strconv"
	"strings"

	flowpb "github.com/cilium/cilium/api/v1/flow"

	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/agent/service"
)

// columnFields are the fields that ask what a record holds.
func columnFields() map[string]fieldCompiler {
	return map[string]fieldCompiler{
		"uuid":             func(c *compiler, f *flowpb.FlowFilter) error { return c.uuid(f.Uuid) },
		"source_ip":        func(c *compiler, f *flowpb.FlowFilter) error { return c.ip(sourceAddresses, f.SourceIp) },
		"destination_ip":   func(c *compiler, f *flowpb.FlowFilter) error { return c.ip(destinationAddresses, f.DestinationIp) },
		"source_port":      func(c *compiler, f *flowpb.FlowFilter) error { return c.port(sourcePorts, f.SourcePort) },
		"destination_port": func(c *compiler, f *flowpb.FlowFilter) error { return c.port(destinationPorts, f.DestinationPort) },
		"source_service":   func(c *compiler, f *flowpb.FlowFilter) error { return c.service(sourceServices, f.SourceService) },
		"destination_service": func(c *compiler, f *flowpb.FlowFilter) error {
			return c.service(destinationServices, f.DestinationService)
		},
		"traffic_direction": func(c *compiler, f *flowpb.FlowFilter) error { return c.direction(f.TrafficDirection) },
		"verdict":           func(c *compiler, f *flowpb.FlowFilter) error { return c.verdict(f.Verdict) },
		"drop_reason_desc":  func(c *compiler, f *flowpb.FlowFilter) error { return c.dropReason(f.DropReasonDesc) },
		"ip_version":        func(c *compiler, f *flowpb.FlowFilter) error { return c.ipVersion(f.IpVersion) },
		"interface":         func(c *compiler, f *flowpb.FlowFilter) error { return c.networkInterface(f.Interface) },
		"event_type":        func(c *compiler, f *flowpb.FlowFilter) error { return c.eventType(f.EventType) },
		"protocol":          func(c *compiler, f *flowpb.FlowFilter) error { return c.protocol(f.Protocol) },
		"reply":             func(c *compiler, f *flowpb.FlowFilter) error { return c.reply(f.Reply) },
		"tcp_flags":         func(c *compiler, f *flowpb.FlowFilter) error { return c.tcpFlags(f.TcpFlags) },
	}
}

func sourcePorts(c *history.Columns) *[history.ChunkSize]uint16         { return &c.SrcPort }
func destinationPorts(c *history.Columns) *[history.ChunkSize]uint16    { return &c.DstPort }
func sourceServices(c *history.Columns) *[history.ChunkSize]uint32      { return &c.SourceService }
func destinationServices(c *history.Columns) *[history.ChunkSize]uint32 { return &c.DestinationService }
func verdicts(c *history.Columns) *[history.ChunkSize]uint8             { return &c.Verdict }
func directions(c *history.Columns) *[history.ChunkSize]uint8           { return &c.Direction }

// uuid takes any text: one that is not a UUID of this agent is that of no flow.
func (c *compiler) uuid(values []string) error {
	c.byUUID = true
	for _, v := range values {
		if instance, sequence, ok := ParseUUID(v); ok && instance == c.s.c.Instance {
			c.sequences = append(c.sequences, sequence)
		}
	}
	wanted := c.sequences
	return c.add(where(func(b *block, row uint16) bool {
		return slices.Contains(wanted, b.first+uint64(row))
	}))
}

func (c *compiler) port(column func(*history.Columns) *[history.ChunkSize]uint16, values []string) error {
	var ports []uint16
	for _, v := range values {
		p, err := strconv.ParseUint(v, 10, 16)
		if err != nil {
			return c.invalid(v, "a port from 0 to 65535")
		}
		ports = append(ports, uint16(p))
	}
	return c.add(func(b *block, rows []uint16) []uint16 {
		values, kept := column(b.Columns), rows[:0]
		for _, row := range rows {
			if slices.Contains(ports, values[row]) && hasPorts(b.Protocol[row], b.Flags[row]) {
				kept = append(kept, row)
			}
		}
		return kept
	})
}

func (c *compiler) service(column func(*history.Columns) *[history.ChunkSize]uint32, values []string) error {
	names, err := c.names(values)
	if err != nil {
		return err
	}
	table := c.s.c.Services
	return c.add(numberIn(column, &numberSet{size: table.Len, test: func(n uint32) bool {
		s := table.At(service.Number(n))
		return names.match(s.Namespace, s.Name)
	}}))
}

// enum checks that the values are of an enum, whose names are given.
func enum[T ~int32](c *compiler, name string, names map[int32]string, values []T) (*byteSet, error) {
	set := &byteSet{}
	for _, v := range values {
		if names[int32(v)] == "" {
			return nil, c.invalid(strconv.Itoa(int(v)), "a value of flow."+name)
		}
		set[uint8(v)] = true
	}
	return set, nil
}

func (c *compiler) direction(values []flowpb.TrafficDirection) error {
	set, err := enum(c, "TrafficDirection", flowpb.TrafficDirection_name, values)
	if err != nil {
		return err
	}
	return c.add(byteIn(directions, set))
}

func (c *compiler) verdict(values []flowpb.Verdict) error {
	set, err := enum(c, "Verdict", flowpb.Verdict_name, values)
	if err != nil {
		return err
	}
	return c.add(byteIn(verdicts, set))
}

func (c *compiler) dropReason(values []flowpb.DropReason) error {
	set, err := enum(c, "DropReason", flowpb.DropReason_name, values)
	if err != nil {
		return err
	}
	return c.add(where(func(b *block, row uint16) bool {
		return flowpb.Verdict(b.Verdict[row]) == flowpb.Verdict_DROPPED &&
			set[c.s.c.dropReason(b.Verdict[row], b.DropReason[row])]
	}))
}

func (c *compiler) ipVersion(values []flowpb.IPVersion) error {
	set, err := enum(c, "IPVersion", flowpb.IPVersion_name, values)
	if err != nil {
		return err
	}
	v4, v6 := set[flowpb.IPVersion_IPv4], set[flowpb.IPVersion_IPv6]
	return c.add(where(func(b *block, row uint16) bool {
		if b.Flags[row]&history.FlagIPv6 != 0 {
			return v6
		}
		return v4
	}))
}

// networkInterface takes index 0 and an empty name for any.
func (c *compiler) networkInterface(wanted []*flowpb.NetworkInterface) error {
	name := c.s.c.InterfaceName
	return c.add(where(func(b *block, row uint16) bool {
		index := b.Interface[row]
		return index != 0 && slices.ContainsFunc(wanted, func(w *flowpb.NetworkInterface) bool {
			return (w.Index == 0 || w.Index == index) && (w.Name == "" || w.Name == name(index))
		})
	}))
}

// eventType takes type 0 for any.
func (c *compiler) eventType(wanted []*flowpb.EventTypeFilter) error {
	return c.add(where(func(b *block, row uint16) bool {
		event, sub := c.s.c.eventType(b.Kind[row], b.Flags[row], b.DropReason[row])
		return slices.ContainsFunc(wanted, func(w *flowpb.EventTypeFilter) bool {
			return (w.Type == 0 || w.Type == event) && (!w.MatchSubType || w.SubType == sub)
		})
	}))
}

func (c *compiler) protocol(values []string) error {
	var wanted byteSet
	for _, v := range values {
		protocols, ok := protocolsOf(strings.ToLower(v))
		if !ok {
			return c.invalid(v, "icmp, icmpv4, icmpv6, tcp, udp, sctp, vrrp, igmp, dns or http")
		}
		for _, p := range protocols {
			wanted[p] = true
		}
	}
	return c.add(where(func(b *block, row uint16) bool {
		return wanted[transport(b.Protocol[row], b.Flags[row])]
	}))
}

// protocolsOf returns the transports that a name stands for: none for those
// above them, which flows do not tell.
func protocolsOf(name string) (protocols []uint8, ok bool) {
	switch name {
	case "icmp":
		return []uint8{protoICMP, protoICMPv6}, true
	case "icmpv4":
		return []uint8{protoICMP}, true
	case "icmpv6":
		return []uint8{protoICMPv6}, true
	case "tcp":
		return []uint8{protoTCP}, true
	case "udp":
		return []uint8{protoUDP}, true
	case "sctp":
		return []uint8{protoSCTP}, true
	case "vrrp":
		return []uint8{protoVRRP}, true
	case "igmp":
		return []uint8{protoIGMP}, true
	case "dns", "http":
		return nil, true
	}
	return nil, false
}

// reply takes a dropped flow of which it is not known for no reply, as Hubble
// does: its UI asks for reply:false and wants drops.
func (c *compiler) reply(values []bool) error {
	yes, no := slices.Contains(values, true), slices.Contains(values, false)
	return c.add(where(func(b *block, row uint16) bool {
		flags := b.Flags[row]
		if flags&history.FlagReplyKnown == 0 {
			return no && flowpb.Verdict(b.Verdict[row]) == flowpb.Verdict_DROPPED
		}
		if isReply(flags) {
			return yes
		}
		return no
	}))
}

// tcpFlags wants all that are set in one of the values; others may be set too.
func (c *compiler) tcpFlags(values []*flowpb.TCPFlags) error {
	var wanted []uint16
	for _, v := range values {
		wanted = append(wanted, tcpBits(v))
	}
	return c.add(where(func(b *block, row uint16) bool {
		has := b.TCPFlags[row]
		return transport(b.Protocol[row], b.Flags[row]) == protoTCP &&
			slices.ContainsFunc(wanted, func(w uint16) bool { return has&w == w })
	}))
}
