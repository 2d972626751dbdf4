package ingest

import (
	"net/netip"
	"slices"

	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/engine"
	"github.com/fovea-obs/fovea/agent/fate"
	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/agent/policy"
	"github.com/fovea-obs/fovea/bpf"
)

// Bits of a record's TCP flags.
const (
	flagSYN = 1 << 1
	flagACK = 1 << 4
)

// protocolSCTP is the third of the protocols that policies are about.
const protocolSCTP = 132

// begins tells whether an event's packet begins a connection that policies may speak
// of. One that was there before the agent does not, nor does one of which it is only
// guessed who began.
func begins(r *history.Record, cause bpf.FoveaEventCause) bool {
	const known = history.FlagReplyKnown
	if r.Flags&(known|history.FlagReply|history.FlagGuessed|history.FlagNoPorts|history.FlagNetwork) != known {
		return false
	}
	if r.Kind == history.KindTrace && !r.Has(history.FlagLocal) {
		return false
	}
	switch r.Protocol {
	case protocolTCP:
		return r.TCPFlags&(flagSYN|flagACK) == flagSYN &&
			(cause == bpf.FoveaEventCauseCAUSE_NEW || cause == bpf.FoveaEventCauseCAUSE_PACKET)
	case protocolUDP, protocolSCTP:
		return cause == bpf.FoveaEventCauseCAUSE_NEW || r.Kind == history.KindDrop && cause == bpf.FoveaEventCauseCAUSE_PACKET
	}
	return false
}

// query asks for the connection of a record whose packets are no replies.
func query(r *history.Record) policy.Query {
	return policy.Query{
		Source: endpoint.Number(r.Source), Destination: endpoint.Number(r.Destination),
		SourceAddr: netip.AddrFrom16(r.Src), DestinationAddr: netip.AddrFrom16(r.Dst),
		Protocol: r.Protocol, DestinationPort: r.DstPort,
	}
}

// explain tells in the record of a drop which policies deny its connection, and
// whether any do: the one that the engine named, or those that are so by inference.
// Only the ends on this node count: what the other's policies say is enforced where
// it is.
func (in *Ingest) explain(r *history.Record, e *bpf.FoveaEvent) bool {
	f := fate.Fate{Reason: e.DropReason, Location: e.Location}
	if !in.mayBePolicy(f) {
		return false
	}
	if f.TableFull = in.IsTableFull != nil && in.IsTableFull(e); f.TableFull {
		r.Fate = in.fate(f)
		return false
	}
	f.Said = in.said(e)
	explained := in.infer
	if f.Said != (engine.Word{}) {
		explained = in.believe
	}
	if !explained(r, &f) {
		return false
	}
	r.Fate = in.fate(f)
	// What leaves is asked first.
	r.Direction = directionIngress
	if f.Egress {
		r.Direction = directionEgress
	}
	return true
}

// believe finds the end whose policy the engine named: one that the policy denies by
// inference too, else the one that the record is seen from. Where policies select the
// ends and all allow the connection, the engine has not had its last word: it logs what
// one policy does not let pass before the next one does, and something else dropped
// the packet.
func (in *Ingest) believe(r *history.Record, f *fate.Fate) bool {
	v := in.Policies.At(in.Policies.Judge(query(r)))
	selected, allowed := false, true
	for _, end := range []struct {
		number uint32
		d      *policy.Decision
		is     *bool
	}{{r.Source, &v.Egress, &f.Egress}, {r.Destination, &v.Ingress, &f.Ingress}} {
		if !in.isHere(end.number) {
			continue
		}
		*end.is = end.d.Result == policy.Denied && slices.Contains(end.d.By, f.Said.Policy)
		selected = selected || end.d.Selected
		allowed = allowed && end.d.Result == policy.Allowed
	}
	if selected && allowed {
		f.Said = engine.Word{}
		return false
	}
	if !f.Judged() {
		f.Egress = r.Direction == directionEgress
		f.Ingress = !f.Egress
	}
	return true
}

// infer asks the policies, and tells whether they explain the drop.
func (in *Ingest) infer(r *history.Record, f *fate.Fate) bool {
	if r.Flags&(history.FlagReplyKnown|history.FlagReply) == history.FlagReplyKnown|history.FlagReply ||
		r.Has(history.FlagNoPorts) {
		return false
	}
	f.Policy = in.Policies.Judge(query(r))
	v := in.Policies.At(f.Policy)
	f.Egress = v.Egress.Result == policy.Denied && in.isHere(r.Source)
	f.Ingress = v.Ingress.Result == policy.Denied && in.isHere(r.Destination)
	return f.Judged()
}

// said returns what an engine logged of the packet of a drop.
func (in *Ingest) said(e *bpf.FoveaEvent) (w engine.Word) {
	if in.Logged != nil {
		w, _ = engine.Read(in.Logged(e))
	}
	return w
}

func (in *Ingest) mayBePolicy(f fate.Fate) bool {
	may, ok := in.blocks[f]
	if !ok {
		may = in.MayBePolicy != nil && in.MayBePolicy(f.Reason, f.Location)
		if in.blocks == nil || len(in.blocks) >= maxBlocks {
			in.blocks = map[fate.Fate]bool{}
		}
		in.blocks[f] = may
	}
	return may
}

// maxBlocks is of how many reasons and places it is remembered whether they may be a
// policy's.
const maxBlocks = 4096

// judge appends what policies say of the connection that the record, which was
// written just now, begins: if it was dropped, what the record says itself; else what
// allows it at the endpoint of this node whose interface it crossed. Nothing is said
// where no policy selects that endpoint. Policies look at the address that a service
// is translated to.
func (in *Ingest) judge(written history.Record, t *translation) {
	in.record = written
	r := &in.record
	r.Kind, r.Bytes = history.KindPolicy, 0
	if written.Kind == history.KindDrop {
		in.write(0)
		return
	}
	q := query(r)
	sent := r.Has(history.FlagFromEndpoint)
	if sent && !t.client && t.far != [16]byte{} {
		q.DestinationAddr, q.DestinationPort = netip.AddrFrom16(t.far), t.farPort
	}
	f := in.Fates.At(r.Fate)
	f.Policy = in.Policies.Judge(q)
	v := in.Policies.At(f.Policy)
	d := &v.Ingress
	if sent {
		d = &v.Egress
	}
	if !d.Selected || d.Result != policy.Allowed {
		return
	}
	f.Egress, f.Ingress = sent, !sent
	r.Fate = in.fate(f)
	in.write(0)
}
