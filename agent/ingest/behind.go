package ingest

import (
	"math"
	"net/netip"
	"time"
	"unsafe"

	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/bpf"
)

const (
	// maxKnown is of how many connections it is remembered who is behind their
	// service: twice as many, of which the older half is forgotten at once.
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

// behind knows who is behind the service that a connection leads to. A client's
// packets have the service's address; what the kernel made of it, its connection
// tracking says.
type behind struct {
	// known are the servers by connection, of which older are the ones before.
	known, older map[connection]server
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

// connection is one of a client with a service, both in 16-byte form.
type connection struct {
	client, service [16]byte
	clientPort      uint16
	servicePort     uint16
	protocol        uint8
}

// server is the address that a connection was translated to; the zero value if it
// was not.
type server [16]byte

// held is a record that is held back, for so many packets that were seen at a
// time.
type held struct {
	record  history.Record
	packets uint64
	seen    int64
}

func (b *behind) holds() bool { return len(b.ask) > 0 }

// connectionOf returns the connection with a service that a record is of.
func connectionOf(r *history.Record) (c connection, ok bool) {
	if r.Kind != history.KindTrace || r.Has(history.FlagNoPorts) ||
		r.Protocol != protocolTCP && r.Protocol != protocolUDP {
		return c, false
	}
	switch {
	case r.DestinationService != 0:
		return connection{r.Src, r.Dst, r.SrcPort, r.DstPort, r.Protocol}, true
	case r.SourceService != 0:
		return connection{r.Dst, r.Src, r.DstPort, r.SrcPort, r.Protocol}, true
	}
	return c, false
}

// settle puts the server in the place of the service in the record, or notes that
// it has to be asked for. A fresh connection may have the ports of one before.
func (in *Ingest) settle(fresh bool) {
	c, ok := connectionOf(&in.record)
	if !ok || in.Translate == nil {
		return
	}
	b := &in.behind
	if fresh {
		delete(b.known, c)
		delete(b.older, c)
	} else if s, ok := b.find(c); ok {
		in.serve(&in.record, s)
		return
	}
	if b.ask == nil {
		b.ask = map[connection]asking{}
	}
	b.ask[c] = asking{since: in.seen}
	if len(b.held) >= maxHeld {
		in.unhold(math.MaxInt64)
	}
}

func (b *behind) find(c connection) (s server, ok bool) {
	if s, ok = b.known[c]; !ok {
		s, ok = b.older[c]
	}
	return s, ok
}

func (b *behind) note(c connection, s server) {
	if b.known == nil || len(b.known) >= maxKnown {
		b.known, b.older = map[connection]server{}, b.known
	}
	b.known[c] = s
	delete(b.ask, c)
}

// serve names the server in a record in the place of the service, which is still
// told as such. Hubble's UI shows no flow of a service and the world.
func (in *Ingest) serve(r *history.Record, s server) {
	if s == (server{}) {
		return
	}
	n := in.Endpoints.Remote(netip.AddrFrom16(s), in.seen)
	if n == endpoint.World || n == endpoint.Unknown {
		return
	}
	if r.DestinationService != 0 {
		r.Destination = uint32(n)
	} else {
		r.Source = uint32(n)
	}
}

// unhold asks the kernel what is to be asked by now, and writes the records that
// need not be held back any more. It returns whether others are.
func (in *Ingest) unhold(now int64) (again bool) {
	b := &in.behind
	if !b.holds() {
		return false
	}
	in.ask(now)
	written := 0
	for ; written < len(b.held); written++ {
		h := &b.held[written]
		in.record, in.seen = h.record, h.seen
		if c, ok := connectionOf(&in.record); ok {
			if _, open := b.ask[c]; open {
				break
			}
			if s, ok := b.find(c); ok {
				in.serve(&in.record, s)
			}
		}
		in.write(h.packets)
	}
	b.held = b.held[:copy(b.held, b.held[written:])]
	return b.holds()
}

// ask asks for the connections that are old enough, and notes what the kernel
// knows of them. Those that it was asked for often enough are not translated.
func (in *Ingest) ask(now int64) {
	b := &in.behind
	b.query = b.query[:0]
	for c, a := range b.ask {
		if now-a.since >= askAfter {
			b.query = append(b.query, bpf.FoveaTranslation{
				Src: endOf(c.client, c.clientPort), Dst: endOf(c.service, c.servicePort), Protocol: c.protocol,
			})
		}
	}
	in.Translate(b.query)
	for i := range b.query {
		t := &b.query[i]
		c := connection{addressOf(&t.Src), addressOf(&t.Dst), t.Src.Port, t.Dst.Port, t.Protocol}
		switch a := b.ask[c]; {
		case t.Found != 0 && t.WentDst != t.SentDst:
			b.note(c, addressOf(&t.WentDst))
		case t.Found != 0 || a.asked+1 == maxAsks || now == math.MaxInt64:
			b.note(c, server{})
		default:
			b.ask[c] = asking{a.since, a.asked + 1}
		}
	}
}

func endOf(a [16]byte, port uint16) (e bpf.FoveaEnd) {
	*(*[16]byte)(unsafe.Pointer(&e.Addr.Words)) = a
	e.Port = port
	return e
}

func addressOf(e *bpf.FoveaEnd) [16]byte { return *(*[16]byte)(unsafe.Pointer(&e.Addr.Words)) }
