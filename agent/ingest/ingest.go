package ingest

import (
	"net/netip"
	"unsafe"

	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/agent/service"
	"github.com/fovea-obs/fovea/bpf"
)

// Hubble's numbers (flow.Verdict and flow.TrafficDirection), which the API
// guarantees not to change.
const (
	verdictForwarded = 1
	verdictDropped   = 2

	directionIngress = 1
	directionEgress  = 2
)

// Ingest takes the datapath's events (it is its Handler) and appends to the
// history. It is for one goroutine.
type Ingest struct {
	History   *history.History
	Endpoints *endpoint.Table
	Services  *service.Table

	record history.Record
}

// Event appends what the kernel told at a time, in nanoseconds since 1970.
func (in *Ingest) Event(e *bpf.FoveaEvent, at int64) {
	r := &in.record
	*r = history.Record{
		Time:       at,
		Packets:    e.Packets,
		Bytes:      e.Bytes,
		Location:   e.Location,
		Src:        *(*[16]byte)(unsafe.Pointer(&e.Src)),
		Dst:        *(*[16]byte)(unsafe.Pointer(&e.Dst)),
		Interface:  e.Ifindex,
		DropReason: e.DropReason,
		SrcPort:    e.Sport,
		DstPort:    e.Dport,
		TCPFlags:   e.TcpFlags,
		SrcMAC:     e.SrcMac,
		DstMAC:     e.DstMac,
		Protocol:   e.Protocol,
		Verdict:    verdictForwarded,
		Kind:       history.KindTrace,
		Flags:      flags(e),
	}
	if bpf.FoveaEventKind(e.Kind) == bpf.FoveaEventKindEVENT_DROP {
		r.Kind = history.KindDrop
		r.Verdict = verdictDropped
	}
	r.Direction = direction(r)
	in.name(r)
	in.History.Append(r)
}

// Lost appends that events were lost on a CPU.
func (in *Ingest) Lost(cpu int, events uint64, at int64) {
	in.record = history.Record{Time: at, Kind: history.KindLost, CPU: uint16(cpu), Packets: events}
	in.History.Append(&in.record)
}

// Flush wakes the history's readers.
func (in *Ingest) Flush() { in.History.Notify() }

func flags(e *bpf.FoveaEvent) history.Flags {
	var f history.Flags
	set := func(bit bpf.FoveaEventFlag, flag history.Flags) {
		if bpf.FoveaEventFlag(e.Flags)&bit != 0 {
			f |= flag
		}
	}
	set(bpf.FoveaEventFlagFLAG_FROM_ENDPOINT, history.FlagFromEndpoint)
	set(bpf.FoveaEventFlagFLAG_NO_PORTS, history.FlagNoPorts)
	set(bpf.FoveaEventFlagFLAG_IPV6, history.FlagIPv6)
	set(bpf.FoveaEventFlagFLAG_GUESSED, history.FlagGuessed)
	set(bpf.FoveaEventFlagFLAG_LOCAL, history.FlagLocal)
	switch bpf.FoveaReply(e.Reply) {
	case bpf.FoveaReplyREPLY_NO:
		f |= history.FlagReplyKnown
	case bpf.FoveaReplyREPLY_YES:
		f |= history.FlagReplyKnown | history.FlagReply
	}
	return f
}

// direction is that of the connection, as Hubble tells it: a reply that comes
// in belongs to a connection that went out. Where no endpoint is behind the
// interface, there is nobody to see it from.
func direction(r *history.Record) uint8 {
	switch {
	case !r.Has(history.FlagReplyKnown | history.FlagLocal):
		return 0
	case r.Has(history.FlagFromEndpoint) != r.Has(history.FlagReply):
		return directionEgress
	default:
		return directionIngress
	}
}

// name finds who the two ends are: the near one by its interface, the far one by
// its address at the record's time. Without such an interface both are looked
// up by address.
func (in *Ingest) name(r *history.Record) {
	near := end{netip.AddrFrom16(r.Dst), r.DstPort, &r.Destination, &r.DestinationService}
	far := end{netip.AddrFrom16(r.Src), r.SrcPort, &r.Source, &r.SourceService}
	if r.Has(history.FlagFromEndpoint) {
		near, far = far, near
	}
	local := endpoint.Unknown
	if r.Has(history.FlagLocal) {
		var remote endpoint.Number
		local, remote = in.Endpoints.Ends(r.Interface, far.addr, r.Time)
		in.set(far, remote, r.Protocol)
	} else {
		in.set(far, in.Endpoints.Remote(far.addr, r.Time), r.Protocol)
	}
	if local != endpoint.Unknown {
		*near.number = uint32(local)
		return
	}
	in.set(near, in.Endpoints.Remote(near.addr, r.Time), r.Protocol)
}

// end is one of a record's two, and where its name goes.
type end struct {
	addr            netip.Addr
	port            uint16
	number, service *uint32
}

// set names an end that was looked up by address. A service's address is the
// service's, whoever is behind it.
func (in *Ingest) set(e end, number endpoint.Number, protocol uint8) {
	if s := in.Services.Lookup(e.addr, e.port, protocol); s != 0 {
		*e.service = uint32(s)
		number = in.Services.At(s).Endpoint
	}
	*e.number = uint32(number)
}
