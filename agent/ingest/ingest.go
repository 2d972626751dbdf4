package ingest

import (
	"math"
	"net/netip"
	"unsafe"

	"github.com/fovea-obs/fovea/agent/dns"
	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/fate"
	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/agent/mac"
	"github.com/fovea-obs/fovea/agent/policy"
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

// IP protocols of which the kernel's connection tracking is asked.
const (
	protocolTCP = 6
	protocolUDP = 17
)

// Ingest takes the datapath's events (it is its Handler) and appends to the
// history. It is for one goroutine.
type Ingest struct {
	History   *history.History
	Endpoints *endpoint.Table
	Services  *service.Table
	Names     *dns.Table
	Fates     *fate.Table
	MACs      *mac.Table
	Policies  *policy.Table
	// MayBePolicy tells whether a drop, by the kernel's reason and its location, is one
	// that network policies may explain; nil if none is.
	MayBePolicy func(reason uint32, location uint64) bool
	// IsTableFull tells whether the packet of a drop found no room in the kernel's table
	// of connections; nil if nobody knows.
	IsTableFull func(*bpf.FoveaEvent) bool
	// Logged returns what a rule logged of the packet of a drop, or ""; nil if nothing
	// is heard of that.
	Logged func(*bpf.FoveaEvent) string
	// Translate asks the kernel about connections, as datapath.Translate does;
	// nil if it cannot be asked.
	Translate func([]bpf.FoveaTranslation)

	record history.Record
	// seen is when the record's packets were.
	seen int64
	nat  nat
	// fates are the numbers of fates in an epoch of theirs.
	fates map[fate.Fate]uint32
	epoch uint64
	// pairs are the same of hardware addresses.
	pairs      map[mac.Pair]uint32
	pairsEpoch uint64
	// blocks is what MayBePolicy said of drops.
	blocks map[fate.Fate]bool
}

// Event appends what the kernel told at a time, in nanoseconds since 1970.
func (in *Ingest) Event(e *bpf.FoveaEvent, at int64) {
	r := &in.record
	*r = history.Record{
		Time:      at,
		Bytes:     e.Bytes,
		Src:       *(*[16]byte)(unsafe.Pointer(&e.Src)),
		Dst:       *(*[16]byte)(unsafe.Pointer(&e.Dst)),
		Interface: e.Ifindex,
		SrcPort:   e.Sport,
		DstPort:   e.Dport,
		TCPFlags:  e.TcpFlags,
		MACs:      in.pair(mac.Pair{Source: e.SrcMac, Destination: e.DstMac}),
		Protocol:  e.Protocol,
		Verdict:   verdictForwarded,
		Kind:      history.KindTrace,
		Flags:     flags(e),
	}
	if bpf.FoveaEventKind(e.Kind) == bpf.FoveaEventKindEVENT_DROP {
		r.Kind = history.KindDrop
		r.Verdict = verdictDropped
		r.Fate = in.fate(fate.Fate{Reason: e.DropReason, Location: e.Location})
	}
	// A connection may be told of when it was silent for a while.
	in.seen = at - int64(e.Time-e.Seen)
	in.name(r, e.DstMac)
	r.Direction = in.direction(r)
	cause := bpf.FoveaEventCause(e.Cause)
	begins := begins(r, cause)
	if r.Kind == history.KindDrop {
		begins = in.explain(r, e) && begins
	}
	open := in.settle(cause == bpf.FoveaEventCauseCAUSE_NEW || begins)
	in.append(held{in.record, e.Packets, in.seen, open, begins})
}

// Lost appends that events were lost on a CPU.
func (in *Ingest) Lost(cpu int, events uint64, at int64) {
	in.record = history.Record{Time: at, Kind: history.KindLost, Interface: uint32(cpu)}
	in.append(held{record: in.record, packets: events})
}

// append appends what in.record is, behind those that are held back.
func (in *Ingest) append(h held) {
	if !in.nat.holds() {
		in.write(h.packets)
		if h.begins {
			in.judge(h.record, &translation{})
		}
		return
	}
	in.nat.held = append(in.nat.held, h)
	if len(in.nat.held) > maxHeld {
		in.unhold(math.MaxInt64)
	}
}

// write appends the record to the history: more packets than it has room for take
// more than one.
func (in *Ingest) write(packets uint64) {
	for ; packets > math.MaxUint32; packets -= math.MaxUint32 {
		more := in.record
		more.Packets, more.Bytes = math.MaxUint32, 0
		in.History.Append(&more)
	}
	in.record.Packets = uint32(packets)
	in.History.Append(&in.record)
}

// Flush asks how new connections are translated, wakes the
// history's readers, and now and then has the tables forget what is in no record
// any more. It is to be called once a second or oftener: also while no event
// comes, what the tables hold may change. It returns whether there is something
// left to ask in a moment. Now is the time in nanoseconds since 1970.
func (in *Ingest) Flush(now int64) (again bool) {
	again = in.unhold(now)
	in.History.Notify()
	if in.Endpoints.Grown() || in.Services.Grown() || in.Names.Grown() || in.Fates.Grown() || in.MACs.Grown() || in.Policies.Grown() {
		in.release()
	}
	return again
}

// release is called by the only goroutine that puts numbers into records, so
// that no number is on its way to one but those that are held back.
func (in *Ingest) release() {
	used := in.History.Used()
	for i := range in.nat.held {
		used.Add(&in.nat.held[i].record)
	}
	in.Fates.Release(used.Fates.Has)
	judged := map[policy.Number]bool{}
	for n := range in.Fates.Len() {
		judged[in.Fates.At(uint32(n)).Policy] = true
	}
	in.Policies.Release(func(n policy.Number) bool { return judged[n] })
	in.Names.Release(used.Names.Has)
	in.MACs.Release(used.MACs.Has)
	// Services hold endpoints.
	in.Services.Release(func(n service.Number) bool { return used.Services.Has(uint32(n)) })
	in.Endpoints.Release(func(n endpoint.Number) bool { return used.Endpoints.Has(uint32(n)) })
}

// fate returns the number of a fate, of which a storm of drops has millions alike.
func (in *Ingest) fate(f fate.Fate) uint32 {
	if epoch := in.Fates.Epoch(); in.fates == nil || epoch != in.epoch {
		in.fates, in.epoch = map[fate.Fate]uint32{}, epoch
	}
	n, ok := in.fates[f]
	if !ok {
		n = in.Fates.Number(f)
		in.fates[f] = n
	}
	return n
}

// pair returns the number of a frame's hardware addresses.
func (in *Ingest) pair(p mac.Pair) uint32 {
	if epoch := in.MACs.Epoch(); in.pairs == nil || epoch != in.pairsEpoch {
		in.pairs, in.pairsEpoch = map[mac.Pair]uint32{}, epoch
	}
	n, ok := in.pairs[p]
	if !ok {
		if n = in.MACs.Number(p); n == mac.None {
			return n
		}
		in.pairs[p] = n
	}
	return n
}

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
	set(bpf.FoveaEventFlagFLAG_NETWORK, history.FlagNetwork)
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
// interface, there is nobody to see it from but an end that is on this node.
func (in *Ingest) direction(r *history.Record) uint8 {
	switch {
	case !r.Has(history.FlagReplyKnown):
		return 0
	case !r.Has(history.FlagLocal):
		if r.Kind != history.KindDrop {
			return 0
		}
		// A packet may be dropped between an endpoint's interface and the network's.
		sent, received := in.isHere(r.Source), in.isHere(r.Destination)
		switch {
		case sent == received:
			return 0
		case sent != r.Has(history.FlagReply):
			return directionEgress
		}
		return directionIngress
	case r.Has(history.FlagFromEndpoint) != r.Has(history.FlagReply):
		return directionEgress
	default:
		return directionIngress
	}
}

// isHere tells whether an end is an endpoint of this node, or the node itself.
func (in *Ingest) isHere(number uint32) bool {
	e := in.Endpoints.At(endpoint.Number(number))
	return e.ID != 0 || e.IsHost()
}

// name finds who the two ends are: the near one by its interface, the far one by
// its address at the time when the packets were seen. Where no endpoint of its own
// is behind the interface both are looked up by address.
func (in *Ingest) name(r *history.Record, dst [6]byte) {
	near := end{netip.AddrFrom16(r.Dst), r.DstPort, &r.Destination, &r.DestinationService}
	far := end{netip.AddrFrom16(r.Src), r.SrcPort, &r.Source, &r.SourceService}
	if r.Has(history.FlagFromEndpoint) {
		near, far = far, near
	}
	var local, remote endpoint.Number
	switch {
	case r.Has(history.FlagNetwork):
		// The node may be more than one, as where an API server is on it.
		local, remote = in.Endpoints.Remote(near.addr, in.seen), in.Endpoints.Remote(far.addr, in.seen)
	case r.Has(history.FlagLocal):
		local, remote = in.Endpoints.Ends(r.Interface, far.addr, in.seen)
		if !r.Has(history.FlagFromEndpoint) && in.Endpoints.IsForOther(r.Interface, dst, near.addr) {
			local = endpoint.Unknown
		}
	default:
		remote = in.Endpoints.Remote(far.addr, in.seen)
	}
	in.set(far, remote, r.Protocol)
	if local != endpoint.Unknown {
		*near.number = uint32(local)
	} else {
		in.set(near, in.Endpoints.Remote(near.addr, in.seen), r.Protocol)
	}
	in.nameOutside(r)
}

// nameOutside finds the DNS names of what is outside the cluster. A service is told
// by its own name only: Hubble's UI shows no flow that has both. Names of pods and
// nodes are theirs already.
func (in *Ingest) nameOutside(r *history.Record) {
	r.Names = 0
	source, destination := netip.AddrFrom16(r.Src), netip.AddrFrom16(r.Dst)
	if r.SourceService != 0 || r.DestinationService != 0 {
		return
	}
	if endpoint.Number(r.Source) != endpoint.World {
		source = netip.Addr{}
	}
	if endpoint.Number(r.Destination) != endpoint.World {
		destination = netip.Addr{}
	}
	if source.IsValid() || destination.IsValid() {
		r.Names = in.Names.Lookup(source, destination)
	}
}

// end is one of a record's two, and where its name goes.
type end struct {
	addr            netip.Addr
	port            uint16
	number, service *uint32
}

// set names an end that was looked up by address. A service's address is the
// service's, whoever is behind it; some have a port at every address of a node.
func (in *Ingest) set(e end, number endpoint.Number, protocol uint8) {
	s := in.Services.Lookup(e.addr, e.port, protocol)
	if s == 0 && in.Endpoints.At(number).IsNode() {
		s = in.Services.Lookup(netip.IPv6Unspecified(), e.port, protocol)
	}
	if s != 0 {
		*e.service = uint32(s)
		number = in.Services.At(s).Endpoint
	}
	*e.number = uint32(number)
}
