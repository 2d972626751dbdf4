package ingest

import (
	"net/netip"

	"github.com/fovea-obs/fovea/agent/endpoint"
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
// whether any do. Only the ends on this node count: what the other's policies say is
// enforced where it is.
func (in *Ingest) explain(r *history.Record, f fate.Fate) bool {
	if r.Flags&(history.FlagReplyKnown|history.FlagReply) == history.FlagReplyKnown|history.FlagReply ||
		r.Has(history.FlagNoPorts) || !in.mayBePolicy(f) {
		return false
	}
	f.Policy = in.Policies.Judge(query(r))
	v := in.Policies.At(f.Policy)
	f.Egress = v.Egress.Result == policy.Denied && in.isHere(r.Source)
	f.Ingress = v.Ingress.Result == policy.Denied && in.isHere(r.Destination)
	if !f.Judged() {
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
func (in *Ingest) judge(written *history.Record, t *translation) {
	in.record = *written
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
