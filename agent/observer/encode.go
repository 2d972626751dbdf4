package observer

import (
	"net"
	"net/netip"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/agent/service"
)

// emitterName is the product that wrote a flow.
const emitterName = "fovea"

// Event types and sub-types, as in Cilium's pkg/monitor/api.
const (
	eventDrop   = 1
	eventTrace  = 4
	eventAccess = 129

	traceToEndpoint   = 0
	traceFromEndpoint = 5
)

// maxEndpoints bounds the endpoints that an encoder keeps for each side; it
// forgets them all when they would be more.
const maxEndpoints = 4096

// row is a record and where it lies.
type row struct {
	sequence uint64
	history.Record
}

// encoder writes records as flows, for one request.
type encoder struct {
	c    *Config
	node string
	// parts are those that the mask asks for, within is what it leaves out of
	// them.
	parts               []part
	within              mask
	emitter             *flowpb.Emitter
	source, destination endpoints
}

// endpoints are the messages of endpoint versions, as one side of a flow.
type endpoints struct {
	mask  mask
	known map[endpoint.Number]*flowpb.Endpoint
}

// part writes one field of a flow.
type part struct {
	field string
	write func(*encoder, *flowpb.Flow, *row)
}

func parts() []part {
	return []part{
		{"time", func(_ *encoder, f *flowpb.Flow, r *row) { f.Time = timestamp(r.Time) }},
		{"uuid", func(e *encoder, f *flowpb.Flow, r *row) { f.Uuid = FormatUUID(e.c.Instance, r.sequence) }},
		{"emitter", func(e *encoder, f *flowpb.Flow, _ *row) { f.Emitter = e.emitter }},
		{"node_name", func(e *encoder, f *flowpb.Flow, _ *row) { f.NodeName = e.node }},
		{"verdict", func(_ *encoder, f *flowpb.Flow, r *row) { f.Verdict = flowpb.Verdict(r.Verdict) }},
		{"drop_reason", (*encoder).dropReason},
		{"drop_reason_desc", (*encoder).dropReasonDesc},
		{"ethernet", (*encoder).ethernet},
		{"IP", (*encoder).ip},
		{"l4", (*encoder).l4},
		{"source", func(e *encoder, f *flowpb.Flow, r *row) { f.Source = e.source.get(e.c.Endpoints, r.Source) }},
		{"destination", func(e *encoder, f *flowpb.Flow, r *row) {
			f.Destination = e.destination.get(e.c.Endpoints, r.Destination)
		}},
		{"Type", func(_ *encoder, f *flowpb.Flow, _ *row) { f.Type = flowpb.FlowType_L3_L4 }},
		{"is_reply", (*encoder).isReply},
		{"reply", func(_ *encoder, f *flowpb.Flow, r *row) { f.Reply = isReply(r.Flags) }},
		{"event_type", (*encoder).eventType},
		{"source_service", func(e *encoder, f *flowpb.Flow, r *row) { f.SourceService = e.service(r.SourceService) }},
		{"destination_service", func(e *encoder, f *flowpb.Flow, r *row) {
			f.DestinationService = e.service(r.DestinationService)
		}},
		{"traffic_direction", func(_ *encoder, f *flowpb.Flow, r *row) {
			f.TrafficDirection = flowpb.TrafficDirection(r.Direction)
		}},
		{"trace_observation_point", (*encoder).observationPoint},
		{"interface", (*encoder).networkInterface},
		{"Summary", func(e *encoder, f *flowpb.Flow, r *row) { f.Summary = e.summary(&r.Record) }},
		{"extensions", (*encoder).extensions},
	}
}

func newEncoder(s *Server, m mask) *encoder {
	e := &encoder{
		c: &s.c, node: s.name, within: m.within("source", "destination", "emitter"),
		emitter: &flowpb.Emitter{Name: emitterName, Version: s.c.Version},
	}
	e.source = endpoints{m.under("source"), map[endpoint.Number]*flowpb.Endpoint{}}
	e.destination = endpoints{m.under("destination"), map[endpoint.Number]*flowpb.Endpoint{}}
	m.under("emitter").prune(e.emitter)
	for _, p := range parts() {
		if m.has(p.field) {
			e.parts = append(e.parts, p)
		}
	}
	return e
}

// flow returns the record as a flow that may be sent, not changed.
func (e *encoder) flow(r *row) *flowpb.Flow {
	f := &flowpb.Flow{}
	for _, p := range e.parts {
		p.write(e, f, r)
	}
	e.within.prune(f)
	return f
}

func timestamp(ns int64) *timestamppb.Timestamp { return timestamppb.New(time.Unix(0, ns)) }

func (e *encoder) dropReason(f *flowpb.Flow, r *row) {
	f.DropReason = uint32(e.c.dropReason(r.Verdict, r.DropReason))
}

func (e *encoder) dropReasonDesc(f *flowpb.Flow, r *row) {
	f.DropReasonDesc = e.c.dropReason(r.Verdict, r.DropReason)
}

func (e *encoder) ethernet(f *flowpb.Flow, r *row) {
	if r.SrcMAC == [6]byte{} && r.DstMAC == [6]byte{} {
		return
	}
	f.Ethernet = &flowpb.Ethernet{
		Source:      net.HardwareAddr(r.SrcMAC[:]).String(),
		Destination: net.HardwareAddr(r.DstMAC[:]).String(),
	}
}

func (e *encoder) ip(f *flowpb.Flow, r *row) {
	version := flowpb.IPVersion_IPv4
	if r.Has(history.FlagIPv6) {
		version = flowpb.IPVersion_IPv6
	}
	f.IP = &flowpb.IP{
		Source: address(r.Src, r.Flags).String(), Destination: address(r.Dst, r.Flags).String(),
		IpVersion: version,
	}
}

func address(a [16]byte, flags history.Flags) netip.Addr {
	if flags&history.FlagIPv6 != 0 {
		return netip.AddrFrom16(a)
	}
	return netip.AddrFrom16(a).Unmap()
}

// get returns the message of a version, the same one for all flows.
func (c *endpoints) get(table *endpoint.Table, number uint32) *flowpb.Endpoint {
	n := endpoint.Number(number)
	if p, ok := c.known[n]; ok {
		return p
	}
	if len(c.known) >= maxEndpoints {
		clear(c.known)
	}
	p := endpointMessage(table.At(n))
	c.mask.prune(p)
	c.known[n] = p
	return p
}

func endpointMessage(v *endpoint.Endpoint) *flowpb.Endpoint {
	p := &flowpb.Endpoint{
		ID: v.ID, Identity: v.Identity, ClusterName: v.Cluster,
		Namespace: v.Namespace, PodName: v.Pod, Labels: v.Labels,
	}
	for _, w := range v.Workloads {
		p.Workloads = append(p.Workloads, &flowpb.Workload{Kind: w.Kind, Name: w.Name})
	}
	return p
}

func (e *encoder) service(number uint32) *flowpb.Service {
	if number == 0 {
		return nil
	}
	s := e.c.Services.At(service.Number(number))
	return &flowpb.Service{Name: s.Name, Namespace: s.Namespace}
}

func isReply(f history.Flags) bool {
	const reply = history.FlagReplyKnown | history.FlagReply
	return f&reply == reply
}

func (e *encoder) isReply(f *flowpb.Flow, r *row) {
	if r.Has(history.FlagReplyKnown) {
		f.IsReply = wrapperspb.Bool(isReply(r.Flags))
	}
}

func (e *encoder) eventType(f *flowpb.Flow, r *row) {
	t, sub := e.c.eventType(r.Kind, r.Flags, r.DropReason)
	f.EventType = &flowpb.CiliumEventType{Type: t, SubType: sub}
}

func (e *encoder) observationPoint(f *flowpb.Flow, r *row) {
	switch {
	case r.Kind == history.KindDrop:
	case r.Has(history.FlagFromEndpoint):
		f.TraceObservationPoint = flowpb.TraceObservationPoint_FROM_ENDPOINT
	default:
		f.TraceObservationPoint = flowpb.TraceObservationPoint_TO_ENDPOINT
	}
}

func (e *encoder) networkInterface(f *flowpb.Flow, r *row) {
	if r.Interface != 0 {
		f.Interface = &flowpb.NetworkInterface{Index: r.Interface, Name: e.c.InterfaceName(r.Interface)}
	}
}
