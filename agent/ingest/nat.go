package ingest

import (
	"math"
	"net/netip"
	"time"
	"unsafe"

	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/fate"
	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/bpf"
)

const (
	// maxKnown is of how many connections it is remembered how they are
	// translated: twice as many, of which the older half is forgotten at once.
	maxKnown = 32768
	// askAfter is how long after its first packet was seen, in nanoseconds, the
	// kernel is asked about a connection: the packet is heard of before it is
	// translated, and until then there may be an older connection with its ports.
	askAfter = int64(time.Millisecond)
	// maxAsks is how often it is asked.
	maxAsks = 3
	// maxHeld is how many records are held back at most, until it is asked.
	maxHeld = 4096
)

// nat knows how the node translates connections: a client's packets have the
// address of a service, a server's may have the node's in the place of the
// client's. What is behind it, the kernel's connection tracking says.
type nat struct {
	// known are the translations by connection, of which older are the ones
	// before.
	known, older map[connection]translation
	// held are the records since the first of whose connection it is not known
	// yet; ask are the connections to ask for.
	held  []held
	ask   map[connection]asking
	query []bpf.FoveaTranslation
}

// asking is since when a connection is to be asked for, and how often it was.
type asking struct {
	since int64
	asked int
}

// connection is one as its packets are at an endpoint's interface, at the near
// end. Addresses are in 16-byte form.
type connection struct {
	near, far         [16]byte
	nearPort, farPort uint16
	protocol          uint8
}

// translation is what the node makes of a connection; the zero value if nothing.
type translation struct {
	// far is who is at the far end in truth: the server behind a service, or the
	// client behind an address of the node.
	far [16]byte
	// masquerade is the address that the near end gets on the way.
	masquerade [16]byte
	farPort    uint16
	// client says that the far end is the client's.
	client bool
}

// held is a record that is held back, for so many packets that were seen at a
// time.
type held struct {
	record  history.Record
	packets uint64
	seen    int64
	// open says that it waits for its own connection, not for those before it.
	open bool
	// begins says that its packet begins a connection, of which policies may have
	// something to say.
	begins bool
}

func (n *nat) holds() bool { return len(n.ask) > 0 }

// connectionOf returns the connection that a record is of, if it may be
// translated: one with a service, one from this node, whose address may stand for
// a client's, or one to an address outside, which may get the node's.
func (in *Ingest) connectionOf(r *history.Record) (c connection, ok bool) {
	// At the network, what the node sends is translated by then, and nobody else's is
	// told.
	if r.Kind != history.KindTrace || r.Has(history.FlagNoPorts) || r.Has(history.FlagNetwork) ||
		r.Protocol != protocolTCP && r.Protocol != protocolUDP {
		return c, false
	}
	far := r.Source
	c = connection{r.Dst, r.Src, r.DstPort, r.SrcPort, r.Protocol}
	if r.Has(history.FlagFromEndpoint) {
		far = r.Destination
		c = connection{r.Src, r.Dst, r.SrcPort, r.DstPort, r.Protocol}
	}
	if r.SourceService != 0 || r.DestinationService != 0 {
		return c, true
	}
	switch e := in.Endpoints.At(endpoint.Number(far)); {
	case e.IsHost():
		return c, true
	case endpoint.Number(far) == endpoint.World || e.IsNode():
		return c, r.Has(history.FlagFromEndpoint) && !r.Has(history.FlagReply)
	}
	return c, false
}

// settle tells in the record what is behind the connection's translation, or notes
// that it has to be asked for: then it is open. A fresh connection may have the
// ports of one before.
func (in *Ingest) settle(fresh bool) (open bool) {
	if in.Translate == nil {
		return false
	}
	c, ok := in.connectionOf(&in.record)
	if !ok {
		return false
	}
	n := &in.nat
	if fresh {
		delete(n.known, c)
		delete(n.older, c)
	} else if t, ok := n.find(c); ok {
		in.undo(&in.record, &t)
		return false
	}
	if n.ask == nil {
		n.ask = map[connection]asking{}
	}
	n.ask[c] = asking{since: in.seen}
	return true
}

func (n *nat) find(c connection) (t translation, ok bool) {
	if t, ok = n.known[c]; !ok {
		t, ok = n.older[c]
	}
	return t, ok
}

func (n *nat) note(c connection, t translation) {
	if n.known == nil || len(n.known) >= maxKnown {
		n.known, n.older = map[connection]translation{}, n.known
	}
	n.known[c] = t
	delete(n.ask, c)
}

// undo tells in a record what is behind a translation. As in Hubble, a service
// stays the address that the client talks to, with the server's name; but a
// client takes the place of the address that stands for it.
func (in *Ingest) undo(r *history.Record, t *translation) {
	sent := r.Has(history.FlagFromEndpoint)
	if sent && t.masquerade != [16]byte{} {
		r.Fate = in.fate(fate.Fate{Source: netip.AddrFrom16(t.masquerade).Unmap()})
	}
	if t.far == [16]byte{} {
		return
	}
	n := in.Endpoints.Remote(netip.AddrFrom16(t.far), in.seen)
	switch {
	case t.client && sent:
		r.Dst, r.DstPort, r.Destination, r.DestinationService = t.far, t.farPort, uint32(n), 0
		in.nameOutside(r)
	case t.client:
		r.Fate = in.fate(fate.Fate{Source: netip.AddrFrom16(r.Src).Unmap()})
		r.Src, r.SrcPort, r.Source, r.SourceService = t.far, t.farPort, uint32(n), 0
		in.nameOutside(r)
	case n == endpoint.World || n == endpoint.Unknown:
		// Hubble's UI shows no flow of a service and the world.
	case sent:
		r.Destination = uint32(n)
	default:
		r.Source = uint32(n)
	}
}

// unhold asks the kernel what is to be asked by now, and writes the records that
// need not be held back any more. It returns whether others are.
func (in *Ingest) unhold(now int64) (again bool) {
	n := &in.nat
	if !n.holds() {
		return false
	}
	in.ask(now)
	written := 0
	for ; written < len(n.held); written++ {
		h := &n.held[written]
		in.record, in.seen = h.record, h.seen
		var t translation
		if h.open {
			c, _ := in.connectionOf(&in.record)
			if _, open := n.ask[c]; open {
				break
			}
			t, _ = n.find(c)
			in.undo(&in.record, &t)
		}
		in.write(h.packets)
		if h.begins {
			in.judge(in.record, &t)
		}
	}
	n.held = n.held[:copy(n.held, n.held[written:])]
	return n.holds()
}

// ask asks for the connections that are old enough, and notes what the kernel
// knows of them. Those that it was asked for often enough are not translated.
func (in *Ingest) ask(now int64) {
	n := &in.nat
	n.query = n.query[:0]
	for c, a := range n.ask {
		if now-a.since >= askAfter {
			n.query = append(n.query, bpf.FoveaTranslation{
				Src: endOf(c.near, c.nearPort), Dst: endOf(c.far, c.farPort), Protocol: c.protocol,
			})
		}
	}
	in.Translate(n.query)
	for i := range n.query {
		t := &n.query[i]
		c := connection{addressOf(&t.Src), addressOf(&t.Dst), t.Src.Port, t.Dst.Port, t.Protocol}
		switch a := n.ask[c]; {
		case t.Found != 0:
			n.note(c, translationOf(&c, t))
		case a.asked+1 == maxAsks || now == math.MaxInt64:
			n.note(c, translation{})
		default:
			n.ask[c] = asking{a.since, a.asked + 1}
		}
	}
}

// translationOf reads what the kernel knows of a connection.
func translationOf(c *connection, t *bpf.FoveaTranslation) (out translation) {
	near := endOf(c.near, c.nearPort)
	switch {
	case t.SentSrc == near:
		if went := addressOf(&t.WentDst); went != c.far {
			out.far, out.farPort = went, t.WentDst.Port
		}
		if went := addressOf(&t.WentSrc); went != c.near {
			out.masquerade = went
		}
	case t.WentDst == near:
		if sent := addressOf(&t.SentSrc); sent != c.far {
			out = translation{far: sent, farPort: t.SentSrc.Port, client: true}
		}
	}
	return out
}

func endOf(a [16]byte, port uint16) (e bpf.FoveaEnd) {
	*(*[16]byte)(unsafe.Pointer(&e.Addr.Words)) = a
	e.Port = port
	return e
}

func addressOf(e *bpf.FoveaEnd) [16]byte { return *(*[16]byte)(unsafe.Pointer(&e.Addr.Words)) }
