package observer

import (
	"fmt"
	"slices"

	flowpb "github.com/cilium/cilium/api/v1/flow"

	"github.com/fovea-obs/fovea/agent/history"
)

// blockSize is the number of rows that a plan looks at in one go. It divides
// [history.ChunkSize].
const blockSize = 512

// block is rows of a chunk, in which a plan looks for matches.
type block struct {
	// first is the sequence number of row 0.
	first uint64
	*history.Columns
}

// predicate returns those of the rows that it is true for, in order and in the
// same memory.
type predicate func(b *block, rows []uint16) []uint16

// clause is a filter: all predicates must be true.
type clause []predicate

func (c clause) match(b *block, rows []uint16) []uint16 {
	for _, p := range c {
		if len(rows) == 0 {
			break
		}
		rows = p(b, rows)
	}
	return rows
}

// plan is the filters of a request, compiled: a record passes if any clause of
// allow matches it, or there is none, and none of deny does. Records of lost
// events always pass, unless the plan is limited. It may be used by one
// goroutine at a time.
type plan struct {
	allow, deny []clause
	// only is where all flows lie that can match, in order, if limited: it asks
	// for flows by their UUID, and looks at nothing else.
	only    []uint64
	limited bool

	// Room for match: which rows pass, counted from the block's first, and
	// lists of rows.
	passes      [blockSize]bool
	flows, part [blockSize]uint16
}

// newPlan compiles filters. Its errors name the field at fault.
func newPlan(s *Server, whitelist, blacklist []*flowpb.FlowFilter) (*plan, error) {
	p := &plan{limited: len(whitelist) > 0}
	for i, f := range whitelist {
		c, err := compile(s, fmt.Sprintf("whitelist[%d]", i), f)
		if err != nil {
			return nil, err
		}
		p.allow = append(p.allow, c.clause())
		p.only = append(p.only, c.sequences...)
		p.limited = p.limited && c.byUUID
	}
	for i, f := range blacklist {
		c, err := compile(s, fmt.Sprintf("blacklist[%d]", i), f)
		if err != nil {
			return nil, err
		}
		p.deny = append(p.deny, c.clause())
	}
	slices.Sort(p.only)
	return p, nil
}

// forward returns the first sequence number from seq on that can match.
func (p *plan) forward(seq uint64) uint64 {
	if !p.limited {
		return seq
	}
	i, _ := slices.BinarySearch(p.only, seq)
	if i == len(p.only) {
		return MaxSequence
	}
	return p.only[i]
}

// backward returns the sequence number after the last one below end that can
// match, 0 if there is none.
func (p *plan) backward(end uint64) uint64 {
	if !p.limited {
		return end
	}
	i, _ := slices.BinarySearch(p.only, end)
	if i == 0 {
		return 0
	}
	return p.only[i-1] + 1
}

// match returns the rows from lo up to hi, at most blockSize of them, that
// pass. They are valid until the next call.
func (p *plan) match(b *block, lo, hi int) []uint16 {
	flows := p.flows[:0]
	for row := lo; row < hi; row++ {
		lost := b.Kind[row] == history.KindLost
		p.passes[row-lo] = lost && !p.limited
		if !lost {
			flows = append(flows, uint16(row))
		}
	}
	p.mark(b, lo, flows, p.allow, true)
	if len(p.allow) == 0 {
		for _, row := range flows {
			p.passes[int(row)-lo] = true
		}
	}
	p.mark(b, lo, flows, p.deny, false)
	passed := p.flows[:0]
	for row := lo; row < hi; row++ {
		if p.passes[row-lo] {
			passed = append(passed, uint16(row))
		}
	}
	return passed
}

// mark notes for the flows that any of the clauses matches whether they pass.
func (p *plan) mark(b *block, lo int, flows []uint16, clauses []clause, pass bool) {
	for _, c := range clauses {
		for _, row := range c.match(b, append(p.part[:0], flows...)) {
			p.passes[int(row)-lo] = pass
		}
	}
}
