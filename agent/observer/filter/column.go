package filter

import (
	"fmt"
	"math/bits"
	"regexp"
	"slices"
	"strconv"
	"strings"

	flowpb "github.com/cilium/cilium/api/v1/flow"

	"github.com/fovea-obs/fovea/agent/dns"
	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/agent/observer/lookup"
	"github.com/fovea-obs/fovea/agent/service"
	"github.com/fovea-obs/fovea/internal/glob"
)

// columnFields are the fields that ask what a record holds.
func columnFields() map[string]fieldCompiler {
	return map[string]fieldCompiler{
		"uuid":             func(c *builder, f *flowpb.FlowFilter) error { return c.uuid(f.Uuid) },
		"source_ip":        func(c *builder, f *flowpb.FlowFilter) error { return c.ip(sourceAddresses, f.SourceIp) },
		"source_ip_xlated": func(c *builder, f *flowpb.FlowFilter) error { return c.translated(f.SourceIpXlated) },
		"destination_ip":   func(c *builder, f *flowpb.FlowFilter) error { return c.ip(destinationAddresses, f.DestinationIp) },
		"source_port":      func(c *builder, f *flowpb.FlowFilter) error { return c.port(sourcePorts, f.SourcePort) },
		"destination_port": func(c *builder, f *flowpb.FlowFilter) error { return c.port(destinationPorts, f.DestinationPort) },
		"source_service":   func(c *builder, f *flowpb.FlowFilter) error { return c.service(sourceServices(), f.SourceService) },
		"destination_service": func(c *builder, f *flowpb.FlowFilter) error {
			return c.service(destinationServices(), f.DestinationService)
		},
		"source_fqdn": func(c *builder, f *flowpb.FlowFilter) error {
			return c.fqdn(f.SourceFqdn, func(n dns.Names) []string { return n.Source })
		},
		"destination_fqdn": func(c *builder, f *flowpb.FlowFilter) error {
			return c.fqdn(f.DestinationFqdn, func(n dns.Names) []string { return n.Destination })
		},
		"traffic_direction": func(c *builder, f *flowpb.FlowFilter) error { return c.direction(f.TrafficDirection) },
		"verdict":           func(c *builder, f *flowpb.FlowFilter) error { return c.verdict(f.Verdict) },
		"drop_reason_desc":  func(c *builder, f *flowpb.FlowFilter) error { return c.dropReason(f.DropReasonDesc) },
		"ip_version":        func(c *builder, f *flowpb.FlowFilter) error { return c.ipVersion(f.IpVersion) },
		"interface":         func(c *builder, f *flowpb.FlowFilter) error { return c.networkInterface(f.Interface) },
		"event_type":        func(c *builder, f *flowpb.FlowFilter) error { return c.eventType(f.EventType) },
		"protocol":          func(c *builder, f *flowpb.FlowFilter) error { return c.protocol(f.Protocol) },
		"reply":             func(c *builder, f *flowpb.FlowFilter) error { return c.reply(f.Reply) },
		"tcp_flags":         func(c *builder, f *flowpb.FlowFilter) error { return c.tcpFlags(f.TcpFlags) },
	}
}

func sourcePorts(c *history.Columns) *[history.ChunkSize]uint16      { return &c.SrcPort }
func destinationPorts(c *history.Columns) *[history.ChunkSize]uint16 { return &c.DstPort }
func verdicts(c *history.Columns) *[history.ChunkSize]uint8          { return &c.Verdict }
func directions(c *history.Columns) *[history.ChunkSize]uint8        { return &c.Direction }

// uuid takes any text: one that is not a UUID of this agent is that of no flow.
func (c *builder) uuid(values []string) error {
	c.byUUID = true
	for _, v := range values {
		if instance, sequence, ok := lookup.ParseUUID(v); ok && instance == c.t.Instance {
			c.sequences = append(c.sequences, sequence)
		}
	}
	slices.Sort(c.sequences)
	wanted := c.sequences
	return c.add(where(func(b *block, row int) bool {
		_, found := slices.BinarySearch(wanted, b.first+uint64(row))
		return found
	}))
}

func (c *builder) port(column func(*history.Columns) *[history.ChunkSize]uint16, values []string) error {
	wanted := new([1 << 16 / 64]uint64)
	for _, v := range values {
		p, err := strconv.ParseUint(v, 10, 16)
		if err != nil {
			return c.invalid(v, "a port from 0 to 65535")
		}
		wanted[p/64] |= 1 << (p % 64)
	}
	return c.add(predicate{keep: func(b *block, rows *Rows) {
		keepPorts(column(b.Columns), wanted, rows)
		keepWhere(b, rows, func(b *block, row int) bool { return lookup.HasPorts(b.Protocol[row], b.Flags[row]) })
	}})
}

// keepPorts keeps the rows whose port is in a set of bits.
func keepPorts(ports *[history.ChunkSize]uint16, wanted *[1 << 16 / 64]uint64, rows *Rows) {
	for w, m := range rows {
		switch m {
		case 0:
		case ^uint64(0):
			var kept uint64
			for i, p := range (*[wordRows]uint16)(ports[w*wordRows:]) {
				kept |= wanted[p/64] >> (p % 64) & 1 << i
			}
			rows[w] = kept
		default:
			for ; m != 0; m &= m - 1 {
				bit := bits.TrailingZeros64(m)
				if p := ports[w*wordRows+bit]; wanted[p/64]>>(p%64)&1 == 0 {
					rows[w] &^= 1 << bit
				}
			}
		}
	}
}

func (c *builder) service(n numbers, values []string) error {
	names, err := c.names(values)
	if err != nil {
		return err
	}
	return c.add(c.numberIn(n, func(number uint32) bool {
		s := c.t.Services.At(service.Number(number))
		return names.match(s.Namespace, s.Name)
	}))
}

// maxNames is how much text of domain names a filter may have: their expression
// is asked of each name that is known.
const maxNames = 4096

// fqdn takes patterns of domain names.
func (c *builder) fqdn(values []string, list func(dns.Names) []string) error {
	patterns, size := make([]string, len(values)), 0
	for i, v := range values {
		p, err := glob.Name(v)
		if err != nil {
			return c.invalid(v, "a domain name of letters, digits, - and _, in which * stands for anything")
		}
		patterns[i] = p
		if size += len(v); size > maxNames {
			return c.invalid(fmt.Sprintf("%d names", len(values)), fmt.Sprintf("at most %d bytes of names", maxNames))
		}
	}
	wanted, err := regexp.Compile(`\A(?:` + strings.Join(patterns, "|") + `)\z`)
	if err != nil {
		return c.invalid(strings.Join(values, ", "), "domain names that are not so long")
	}
	return c.add(c.numberIn(names(), func(number uint32) bool {
		return slices.ContainsFunc(list(c.t.Names.At(number)), wanted.MatchString)
	}))
}

// enum checks that the values are of an enum, whose names are given.
func enum[T ~int32](c *builder, name string, names map[int32]string, values []T) (*table, error) {
	wanted := &table{}
	for _, v := range values {
		if names[int32(v)] == "" {
			return nil, c.invalid(strconv.Itoa(int(v)), "a value of flow."+name)
		}
		wanted.add(uint8(v))
	}
	return wanted, nil
}

func (c *builder) direction(values []flowpb.TrafficDirection) error {
	wanted, err := enum(c, "TrafficDirection", flowpb.TrafficDirection_name, values)
	if err != nil {
		return err
	}
	return c.add(byteIn(directions, wanted, func(s *history.Summary) *history.ByteSet { return &s.Direction }))
}

func (c *builder) verdict(values []flowpb.Verdict) error {
	wanted, err := enum(c, "Verdict", flowpb.Verdict_name, values)
	if err != nil {
		return err
	}
	return c.addVerdicts(wanted)
}

func (c *builder) addVerdicts(wanted *table) error {
	return c.add(byteIn(verdicts, wanted, func(s *history.Summary) *history.ByteSet { return &s.Verdict }))
}

func (c *builder) dropReason(values []flowpb.DropReason) error {
	wanted, err := enum(c, "DropReason", flowpb.DropReason_name, values)
	if err != nil {
		return err
	}
	var dropped table
	dropped.add(uint8(flowpb.Verdict_DROPPED))
	if err := c.addVerdicts(&dropped); err != nil {
		return err
	}
	return c.add(c.numberIn(fates(), func(number uint32) bool { return wanted[c.t.DropReason(number)] != 0 }))
}

// networkInterface takes index 0 and an empty name for any.
func (c *builder) networkInterface(wanted []*flowpb.NetworkInterface) error {
	fits := func(index uint32) bool {
		if index == 0 {
			return false
		}
		name := c.t.InterfaceName(index)
		return slices.ContainsFunc(wanted, func(w *flowpb.NetworkInterface) bool {
			return (w.Index == 0 || w.Index == index) && (w.Name == "" || w.Name == name)
		})
	}
	return c.add(predicate{keep: func(b *block, rows *Rows) {
		// Interfaces may be renamed: no longer than for a chunk.
		known := map[uint32]bool{}
		where(func(b *block, row int) bool {
			index := b.Interface[row]
			match, ok := known[index]
			if !ok {
				match = fits(index)
				known[index] = match
			}
			return match
		}).keep(b, rows)
	}})
}

// eventType takes type 0 for any.
func (c *builder) eventType(wanted []*flowpb.EventTypeFilter) error {
	fits := func(kind history.Kind, flags history.Flags, fate uint32) bool {
		event, sub := c.t.EventType(kind, flags, fate)
		return slices.ContainsFunc(wanted, func(w *flowpb.EventTypeFilter) bool {
			return (w.Type == 0 || w.Type == event) && (!w.MatchSubType || w.SubType == sub)
		})
	}
	var traces table
	for f := range traces {
		if fits(history.KindTrace, history.Flags(f), 0) {
			traces.add(uint8(f))
		}
	}
	dropped := c.set(c.t.Fates.Len, func(number uint32) bool { return fits(history.KindDrop, 0, number) })
	verdicts := fits(history.KindPolicy, 0, 0)
	return c.add(where(func(b *block, row int) bool {
		switch b.Kind[row] {
		case history.KindDrop:
			return dropped.has(b.Fate[row])
		case history.KindPolicy:
			return verdicts
		}
		return traces[b.Flags[row]] != 0
	}))
}
