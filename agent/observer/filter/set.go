package filter

import (
	"math/bits"
	"slices"

	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/agent/observer/lookup"
)

// States of a number in a numberSet.
const (
	outside = iota
	inside
	undecided
)

// numberSet is the interned numbers that a test is true for. It is asked of each
// number once in an epoch, when the number is first met.
type numberSet struct {
	test func(number uint32) bool
	// size is above all numbers that a chunk can have.
	size   func() int
	states []uint8
}

// forget makes the set ask again, in a new epoch.
func (s *numberSet) forget() { s.states = s.states[:0] }

// grow makes room for all numbers that there are.
func (s *numberSet) grow() {
	for size := s.size(); len(s.states) < size; {
		s.states = append(s.states, undecided)
	}
}

// has tells whether n is in the set, which has room for it.
func (s *numberSet) has(n uint32) bool {
	if s.states[n] == undecided {
		s.states[n] = outside
		if s.test(n) {
			s.states[n] = inside
		}
	}
	return s.states[n] == inside
}

// keep removes the rows whose value is not in the set.
func (s *numberSet) keep(values *[history.ChunkSize]uint32, rows *Rows) {
	states := s.states
	for w, m := range rows {
		if m == 0 {
			continue
		}
		word := (*[wordRows]uint32)(values[w*wordRows:])
		if m == ^uint64(0) {
			var kept uint64
			var seen uint8
			for i := 0; i < wordRows; i += 4 {
				a, b, c, d := states[word[i]], states[word[i+1]], states[word[i+2]], states[word[i+3]]
				seen |= a | b | c | d
				kept |= uint64(a&inside|b&inside<<1|c&inside<<2|d&inside<<3) << i
			}
			if seen&undecided == 0 {
				rows[w] = kept
				continue
			}
		}
		for ; m != 0; m &= m - 1 {
			bit := bits.TrailingZeros64(m)
			if !s.has(word[bit]) {
				rows[w] &^= 1 << bit
			}
		}
	}
}

// numbers is a column of interned numbers.
type numbers struct {
	column func(*history.Columns) *[history.ChunkSize]uint32
	// list is the column's values in a summary, none if they are too many.
	list func(*history.Summary) []uint32
	// size is above all numbers of the table they are from.
	size func(*lookup.Tables) func() int
}

// numberIn keeps the rows whose number in a column passes a test.
func (c *builder) numberIn(n numbers, test func(number uint32) bool) predicate {
	return inSet(n, c.set(n.size(c.t), test))
}

func inSet(n numbers, s *numberSet) predicate {
	return predicate{
		keep: func(b *block, rows *Rows) { s.keep(n.column(b.Columns), rows) },
		none: func(sum *history.Summary) bool {
			list := n.list(sum)
			return len(list) > 0 && !slices.ContainsFunc(list, s.has)
		},
	}
}

// set returns a set that the plan keeps up to date.
func (c *builder) set(size func() int, test func(number uint32) bool) *numberSet {
	s := &numberSet{test: test, size: size}
	c.plan.sets = append(c.plan.sets, s)
	return s
}

func sources() numbers {
	return numbers{
		func(c *history.Columns) *[history.ChunkSize]uint32 { return &c.Source },
		func(s *history.Summary) []uint32 { return s.Source },
		func(t *lookup.Tables) func() int { return t.Endpoints.Len },
	}
}

func destinations() numbers {
	return numbers{
		func(c *history.Columns) *[history.ChunkSize]uint32 { return &c.Destination },
		func(s *history.Summary) []uint32 { return s.Destination },
		func(t *lookup.Tables) func() int { return t.Endpoints.Len },
	}
}

func sourceServices() numbers {
	return numbers{
		func(c *history.Columns) *[history.ChunkSize]uint32 { return &c.SourceService },
		func(s *history.Summary) []uint32 { return s.SourceService },
		func(t *lookup.Tables) func() int { return t.Services.Len },
	}
}

func destinationServices() numbers {
	return numbers{
		func(c *history.Columns) *[history.ChunkSize]uint32 { return &c.DestinationService },
		func(s *history.Summary) []uint32 { return s.DestinationService },
		func(t *lookup.Tables) func() int { return t.Services.Len },
	}
}

func fates() numbers {
	return numbers{
		func(c *history.Columns) *[history.ChunkSize]uint32 { return &c.Fate },
		func(s *history.Summary) []uint32 { return s.Fate },
		func(t *lookup.Tables) func() int { return t.Fates.Len },
	}
}

func names() numbers {
	return numbers{
		func(c *history.Columns) *[history.ChunkSize]uint32 { return &c.Names },
		func(s *history.Summary) []uint32 { return s.Names },
		func(t *lookup.Tables) func() int { return t.Names.Len },
	}
}

// endpointTest tells whether a version of an endpoint is one that is wanted.
type endpointTest func(*endpoint.Endpoint) bool

// endpointTests are what a side of a flow must be, all of it.
type endpointTests struct {
	list []endpointTest
	// asked is the same for tests that are.
	asked string
}

// endpointIn keeps the rows whose endpoint in a column passes all tests. Clients
// that do not care for the direction ask the same of both columns, in a filter
// for each: the answers are kept once.
func (c *builder) endpointIn(n numbers, tests endpointTests) predicate {
	s, ok := c.sides[tests.asked]
	if !ok {
		s = c.set(c.t.Endpoints.Len, func(number uint32) bool {
			e := c.t.Endpoints.At(endpoint.Number(number))
			return !slices.ContainsFunc(tests.list, func(t endpointTest) bool { return !t(e) })
		})
		c.sides[tests.asked] = s
	}
	return inSet(n, s)
}
