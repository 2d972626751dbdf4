package observer

import (
	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/history"
)

// verdicts of a numberSet.
const (
	undecided = iota
	outside
	inside
)

// numberSet is the interned numbers that a test is true for. It is asked of
// each number once: what a number stands for never changes.
type numberSet struct {
	test func(number uint32) bool
	// size is how many numbers there are; it only grows.
	size   func() int
	states []uint8
}

// decide tells whether n is in the set and remembers it.
func (s *numberSet) decide(n uint32) bool {
	if int(n) >= len(s.states) {
		size := s.size()
		if int(n) >= size {
			// Not a number that was given: nothing to remember.
			return s.test(n)
		}
		s.states = append(s.states, make([]uint8, size-len(s.states))...)
	}
	if s.states[n] == undecided {
		s.states[n] = outside
		if s.test(n) {
			s.states[n] = inside
		}
	}
	return s.states[n] == inside
}

// endpointTest tells whether a version of an endpoint is one that is wanted.
type endpointTest func(*endpoint.Endpoint) bool

func newEndpointSet(t *endpoint.Table, tests []endpointTest) *numberSet {
	return &numberSet{size: t.Len, test: func(n uint32) bool {
		e := t.At(endpoint.Number(n))
		for _, test := range tests {
			if !test(e) {
				return false
			}
		}
		return true
	}}
}

// numberIn keeps the rows whose number in a column is in the set.
func numberIn(column func(*history.Columns) *[history.ChunkSize]uint32, s *numberSet) predicate {
	return func(b *block, rows []uint16) []uint16 {
		numbers, kept := column(b.Columns), rows[:0]
		for _, row := range rows {
			state := uint8(undecided)
			if n := numbers[row]; int(n) < len(s.states) {
				state = s.states[n]
			}
			if state == inside || state == undecided && s.decide(numbers[row]) {
				kept = append(kept, row)
			}
		}
		return kept
	}
}

// byteSet is a set of the values of a column of bytes.
type byteSet [256]bool

// byteIn keeps the rows whose value in a column is in the set.
func byteIn(column func(*history.Columns) *[history.ChunkSize]uint8, s *byteSet) predicate {
	return func(b *block, rows []uint16) []uint16 {
		values, kept := column(b.Columns), rows[:0]
		for _, row := range rows {
			if s[values[row]] {
				kept = append(kept, row)
			}
		}
		return kept
	}
}

// where keeps the rows for which a test is true.
func where(test func(b *block, row uint16) bool) predicate {
	return func(b *block, rows []uint16) []uint16 {
		kept := rows[:0]
		for _, row := range rows {
			if test(b, row) {
				kept = append(kept, row)
			}
		}
		return kept
	}
}

// never keeps no row.
func never(*block, []uint16) []uint16 { return nil }
