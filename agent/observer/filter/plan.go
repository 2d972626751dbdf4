package filter

import (
	"slices"

	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/agent/observer/lookup"
)

// noFlow is a sequence number that no flow has.
const noFlow = lookup.MaxSequence

// clause is a filter: all predicates must be true.
type clause []predicate

// none tells that no row of a chunk with this summary can match.
func (c clause) none(s *history.Summary) bool {
	return s != nil && slices.ContainsFunc(c, func(p predicate) bool { return p.none != nil && p.none(s) })
}

func (c clause) keep(b *block, rows *Rows) {
	for _, p := range c {
		if rows.empty() {
			return
		}
		p.keep(b, rows)
	}
}

// Plan is the filters of a request, compiled: a record passes if any clause of
// allow matches it, or there is none, and none of deny does. Records of lost
// events always pass, unless the plan is limited. It may be used by one
// goroutine at a time.
type Plan struct {
	t           *lookup.Tables
	allow, deny []clause
	// only is where all flows lie that can match, in order, if limited: it asks
	// for flows by their UUID, and looks at nothing else.
	only    []uint64
	limited bool
	// expressions is how many expressions of CEL there are.
	expressions int

	// sets are what the clauses remember of numbers, in an epoch.
	sets  []*numberSet
	epoch lookup.Epoch

	// Room for Match.
	flows, part, passes, lost Rows
}

// Forward returns the first sequence number from seq on that can match, or one
// that no flow has.
func (p *Plan) Forward(seq uint64) uint64 {
	if !p.limited {
		return seq
	}
	i, _ := slices.BinarySearch(p.only, seq)
	if i == len(p.only) {
		return noFlow
	}
	return p.only[i]
}

// Backward returns the sequence number after the last one below end that can
// match, 0 if there is none.
func (p *Plan) Backward(end uint64) uint64 {
	if !p.limited {
		return end
	}
	i, _ := slices.BinarySearch(p.only, end)
	if i == 0 {
		return 0
	}
	return p.only[i-1] + 1
}

// Step is how many rows Match should be given at most, so that it takes
// milliseconds.
func (p *Plan) Step() int {
	if p.expressions > 0 {
		return expressionRows
	}
	return history.ChunkSize
}

// Asked is how many of the flows with these sequence numbers can match, or may
// be lost events, which are told too.
func (p *Plan) Asked(from, to uint64) uint64 {
	if !p.limited {
		return to - from
	}
	first, _ := slices.BinarySearch(p.only, from)
	last, _ := slices.BinarySearch(p.only, to)
	return uint64(last - first)
}

// Match returns the rows from lo up to hi of a segment that pass: those of flows
// and those of lost events. They are valid until the next call.
func (p *Plan) Match(s *history.Segment, lo, hi int) (flows, lost *Rows) {
	p.renew()
	b := block{s.First, s.Columns(), s.Summary()}
	p.passes, p.lost = Rows{}, Rows{}
	p.flows.fill(lo, hi)
	p.split(&b)
	if len(p.allow) == 0 {
		p.passes = p.flows
	}
	for _, c := range p.allow {
		if c.none(b.summary) {
			continue
		}
		p.part = p.flows
		p.part.remove(&p.passes)
		c.keep(&b, &p.part)
		p.passes.add(&p.part)
	}
	for _, c := range p.deny {
		if p.passes.empty() {
			break
		}
		if c.none(b.summary) {
			continue
		}
		p.part = p.passes
		c.keep(&b, &p.part)
		p.passes.remove(&p.part)
	}
	return &p.passes, &p.lost
}

// split takes the records of lost events out of the flows.
func (p *Plan) split(b *block) {
	if b.summary != nil && !b.summary.Kind.Has(uint8(history.KindLost)) {
		return
	}
	p.part = p.flows
	var lost table
	lost.add(uint8(history.KindLost))
	keepBytes(&b.Kind, &lost, &p.part)
	p.flows.remove(&p.part)
	if !p.limited {
		p.lost = p.part
	}
}

// renew forgets what is void, and makes room for numbers that are new. The chunk
// that is held has no others.
func (p *Plan) renew() {
	e := p.t.Epoch()
	for _, s := range p.sets {
		if e != p.epoch {
			s.forget()
		}
		s.grow()
	}
	p.epoch = e
}
