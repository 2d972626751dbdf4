package encode

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/agent/mac"
	"github.com/fovea-obs/fovea/agent/observer/lookup"
	"github.com/fovea-obs/fovea/agent/policy"
	"github.com/fovea-obs/fovea/agent/service"
)

// reference makes messages of records in the plainest way: what an Encoder
// writes is to be the same.
type reference struct {
	t    *lookup.Tables
	mask Mask
}

func (r *reference) response(c *history.Columns, row int, sequence uint64) *observerpb.GetFlowsResponse {
	f := r.flow(c, row, sequence)
	prune(r.mask, f.ProtoReflect())
	return &observerpb.GetFlowsResponse{
		ResponseTypes: &observerpb.GetFlowsResponse_Flow{Flow: f},
		NodeName:      r.t.Node, Time: timestamppb.New(time.Unix(0, c.Time[row])),
	}
}

func (r *reference) lost(source flowpb.LostEventSource, events uint64, cpu int, at int64) *observerpb.GetFlowsResponse {
	lost := &flowpb.LostEvent{Source: source, NumEventsLost: events}
	if cpu >= 0 {
		lost.Cpu = wrapperspb.Int32(int32(cpu))
	}
	return &observerpb.GetFlowsResponse{
		ResponseTypes: &observerpb.GetFlowsResponse_LostEvents{LostEvents: lost},
		NodeName:      r.t.Node, Time: timestamppb.New(time.Unix(0, at)),
	}
}

// prune clears what is not wanted.
func prune(m Mask, msg protoreflect.Message) {
	if m == nil {
		return
	}
	msg.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch below, ok := m[string(field.Name())]; {
		case !ok:
			msg.Clear(field)
		case below != nil:
			prune(below, v.Message())
		}
		return true
	})
}

func (r *reference) flow(c *history.Columns, row int, sequence uint64) *flowpb.Flow {
	t, flags := r.t, c.Flags[row]
	event, sub := t.EventType(c.Kind[row], flags, c.Fate[row])
	names := t.Names.At(c.Names[row])
	f := &flowpb.Flow{
		Time:               timestamppb.New(time.Unix(0, c.Time[row])),
		Uuid:               lookup.FormatUUID(t.Instance, sequence),
		Emitter:            &flowpb.Emitter{Name: "fovea", Version: t.Version},
		NodeName:           t.Node,
		Verdict:            flowpb.Verdict(c.Verdict[row]),
		IP:                 r.ip(c, row),
		L4:                 l4(c, row),
		Source:             r.endpoint(c.Source[row]),
		Destination:        r.endpoint(c.Destination[row]),
		Type:               flowpb.FlowType_L3_L4,
		SourceNames:        names.Source,
		DestinationNames:   names.Destination,
		Reply:              isReply(flags),
		EventType:          &flowpb.CiliumEventType{Type: event, SubType: sub},
		SourceService:      r.service(c.SourceService[row]),
		DestinationService: r.service(c.DestinationService[row]),
		TrafficDirection:   flowpb.TrafficDirection(c.Direction[row]),
		Extensions:         r.extensions(c, row),
		Summary:            r.summary(c, row),
	}
	if p := t.MACs.At(c.MACs[row]); p != (mac.Pair{}) {
		f.Ethernet = &flowpb.Ethernet{
			Source:      net.HardwareAddr(p.Source[:]).String(),
			Destination: net.HardwareAddr(p.Destination[:]).String(),
		}
	}
	if flags&history.FlagReplyKnown != 0 {
		f.IsReply = wrapperspb.Bool(flags&history.FlagReply != 0)
	}
	if n := c.Interface[row]; n != 0 {
		f.Interface = &flowpb.NetworkInterface{Index: n, Name: strings.ToValidUTF8(t.InterfaceName(n), "\uFFFD")}
	}
	switch {
	case hasOutcome(c.Kind[row]):
		if r.dropped(c, row) {
			f.DropReasonDesc = t.DropReason(c.Fate[row])
			f.DropReason = uint32(f.DropReasonDesc)
		}
		r.judge(f, c, row)
	case flags&history.FlagNetwork != 0 && flags&history.FlagFromEndpoint != 0:
		f.TraceObservationPoint = flowpb.TraceObservationPoint_TO_NETWORK
	case flags&history.FlagNetwork != 0:
		f.TraceObservationPoint = flowpb.TraceObservationPoint_FROM_NETWORK
	case flags&history.FlagFromEndpoint != 0:
		f.TraceObservationPoint = flowpb.TraceObservationPoint_FROM_ENDPOINT
	default:
		f.TraceObservationPoint = flowpb.TraceObservationPoint_TO_ENDPOINT
	}
	return f
}

func (r *reference) ip(c *history.Columns, row int) *flowpb.IP {
	src, dst := netip.AddrFrom16(c.Src[row]), netip.AddrFrom16(c.Dst[row])
	out := &flowpb.IP{Source: src.Unmap().String(), Destination: dst.Unmap().String(), IpVersion: flowpb.IPVersion_IPv4}
	if c.Flags[row]&history.FlagIPv6 != 0 {
		out = &flowpb.IP{Source: src.String(), Destination: dst.String(), IpVersion: flowpb.IPVersion_IPv6}
	}
	if a := r.t.Fates.At(c.Fate[row]).Source; a.IsValid() {
		out.SourceXlated = a.String()
	}
	return out
}

func l4(c *history.Columns, row int) *flowpb.Layer4 {
	src, dst := uint32(c.SrcPort[row]), uint32(c.DstPort[row])
	switch lookup.Transport(c.Protocol[row], c.Flags[row]) {
	case lookup.ProtoTCP:
		b := c.TCPFlags[row]
		return &flowpb.Layer4{Protocol: &flowpb.Layer4_TCP{TCP: &flowpb.TCP{
			SourcePort: src, DestinationPort: dst,
			Flags: &flowpb.TCPFlags{
				FIN: b&lookup.TCPFIN != 0, SYN: b&lookup.TCPSYN != 0, RST: b&lookup.TCPRST != 0,
				PSH: b&lookup.TCPPSH != 0, ACK: b&lookup.TCPACK != 0, URG: b&lookup.TCPURG != 0,
				ECE: b&lookup.TCPECE != 0, CWR: b&lookup.TCPCWR != 0, NS: b&lookup.TCPNS != 0,
			},
		}}}
	case lookup.ProtoUDP:
		return &flowpb.Layer4{Protocol: &flowpb.Layer4_UDP{UDP: &flowpb.UDP{SourcePort: src, DestinationPort: dst}}}
	case lookup.ProtoSCTP:
		return &flowpb.Layer4{Protocol: &flowpb.Layer4_SCTP{SCTP: &flowpb.SCTP{SourcePort: src, DestinationPort: dst}}}
	case lookup.ProtoICMP:
		return &flowpb.Layer4{Protocol: &flowpb.Layer4_ICMPv4{ICMPv4: &flowpb.ICMPv4{Type: src, Code: dst}}}
	case lookup.ProtoICMPv6:
		return &flowpb.Layer4{Protocol: &flowpb.Layer4_ICMPv6{ICMPv6: &flowpb.ICMPv6{Type: src, Code: dst}}}
	case lookup.ProtoVRRP:
		return &flowpb.Layer4{Protocol: &flowpb.Layer4_VRRP{VRRP: &flowpb.VRRP{Type: src, Vrid: dst >> 8, Priority: dst & 0xff}}}
	case lookup.ProtoIGMP:
		return &flowpb.Layer4{Protocol: &flowpb.Layer4_IGMP{IGMP: &flowpb.IGMP{Type: src}}}
	}
	return nil
}

func (r *reference) endpoint(number uint32) *flowpb.Endpoint {
	v := r.t.Endpoints.At(endpoint.Number(number))
	p := &flowpb.Endpoint{
		ID: v.ID, Identity: v.Identity, ClusterName: v.Cluster,
		Namespace: v.Namespace, PodName: v.Pod, Labels: v.Labels,
	}
	for _, w := range v.Workloads {
		p.Workloads = append(p.Workloads, &flowpb.Workload{Kind: w.Kind, Name: w.Name})
	}
	return p
}

func (r *reference) service(number uint32) *flowpb.Service {
	if number == 0 {
		return nil
	}
	s := r.t.Services.At(service.Number(number))
	return &flowpb.Service{Name: s.Name, Namespace: s.Namespace}
}

func (r *reference) summary(c *history.Columns, row int) string {
	s := packetSummary(c, row)
	if !hasOutcome(c.Kind[row]) {
		return s
	}
	d := r.t.Fates.At(c.Fate[row])
	if r.dropped(c, row) {
		s += "; " + r.t.KernelReason(d)
		if where := r.t.Location(d); where != "" {
			s += " at " + where
		}
		if d.TableFull {
			s += "; inferred: the table of connections is full (nf_conntrack_max)"
		}
	}
	for i, d := range r.decisions(c, row) {
		if d == nil {
			continue
		}
		result := "allowed"
		if d.Result == policy.Denied {
			result = "denied"
		}
		who := "inferred"
		if said := r.t.Fates.At(c.Fate[row]).Said; said.Engine != "" {
			who = said.Engine
		}
		s += "; " + who + ": " + []string{"egress", "ingress"}[i] + " " + result
		var names []string
		for _, by := range d.By {
			name := by.Namespace + "/" + by.Name
			names = append(names, by.Kind.String()+" "+strings.TrimPrefix(name, "/"))
		}
		if len(names) > 0 {
			s += " by " + strings.Join(names[:min(3, len(names))], ", ")
		}
		if len(names) > 3 {
			s += fmt.Sprintf(" and %d more", len(names)-3)
		}
	}
	return s
}

// dropped tells whether a flow of a drop or a verdict is of what was dropped.
func (r *reference) dropped(c *history.Columns, row int) bool {
	return c.Kind[row] == history.KindDrop || c.Verdict[row] == uint8(flowpb.Verdict_DROPPED)
}

// decisions are those at the two ends that are part of what became of a packet, nil
// if not.
func (r *reference) decisions(c *history.Columns, row int) (ends [2]*policy.Decision) {
	f := r.t.Fates.At(c.Fate[row])
	v := r.t.Policies.At(f.Policy)
	if said := f.Said.Policy; said.Name != "" {
		v = &policy.Verdict{}
		v.Egress.Result, v.Egress.By = policy.Denied, []policy.Ref{said}
		v.Ingress.Result, v.Ingress.By = policy.Denied, []policy.Ref{said}
	}
	if f.Egress {
		ends[0] = &v.Egress
	}
	if f.Ingress {
		ends[1] = &v.Ingress
	}
	return ends
}

// judge writes which policies decide, of the kind of each end and result.
func (r *reference) judge(f *flowpb.Flow, c *history.Columns, row int) {
	list := func(d *policy.Decision, result policy.Result) (out []*flowpb.Policy) {
		if d == nil || d.Result != result {
			return nil
		}
		for _, by := range d.By {
			out = append(out, &flowpb.Policy{Name: by.Name, Namespace: by.Namespace, Kind: by.Kind.String()})
		}
		return out
	}
	ends := r.decisions(c, row)
	f.EgressAllowedBy, f.EgressDeniedBy = list(ends[0], policy.Allowed), list(ends[0], policy.Denied)
	f.IngressAllowedBy, f.IngressDeniedBy = list(ends[1], policy.Allowed), list(ends[1], policy.Denied)
	for _, d := range ends {
		if d != nil && c.Kind[row] == history.KindPolicy {
			f.PolicyMatchType = uint32(d.Match)
		}
	}
}

func (r *reference) extensions(c *history.Columns, row int) *anypb.Any {
	all := map[string]any{"packets": float64(c.Packets[row]), "bytes": float64(c.Bytes[row])}
	if c.Kind[row] == history.KindPolicy {
		clear(all)
	}
	if hasOutcome(c.Kind[row]) && r.decisions(c, row) != [2]*policy.Decision{} && r.t.Fates.At(c.Fate[row]).Said.Engine == "" {
		all["policy_inferred"] = true
	}
	if hasOutcome(c.Kind[row]) && r.dropped(c, row) {
		d := r.t.Fates.At(c.Fate[row])
		words := map[string]any{"reason": r.t.KernelReason(d)}
		if where := r.t.Location(d); where != "" {
			words["location"] = where
		}
		if d.Said.Engine != "" {
			words["engine"] = d.Said.Engine
		}
		if d.TableFull {
			words["reason_inferred"] = "conntrack full"
		}
		all["drop"] = words
	}
	if c.Flags[row]&history.FlagReplyKnown != 0 && c.Flags[row]&history.FlagGuessed != 0 {
		all["reply_inferred"] = true
	}
	s, err := structpb.NewStruct(all)
	if err != nil {
		return nil
	}
	out := &anypb.Any{}
	if err := anypb.MarshalFrom(out, s, proto.MarshalOptions{Deterministic: true}); err != nil {
		return nil
	}
	return out
}
