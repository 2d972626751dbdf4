// Package mac numbers the pairs of hardware addresses that frames have: they are as
// few as the ways between neighbours, and a flow's record has no room to spare.
package mac

import "github.com/fovea-obs/fovea/agent/intern"

// None is the number of the pair of no addresses.
const None = 0

// MaxPairs is how many pairs have numbers at a time. A pod can make up more than
// there is memory for.
const MaxPairs = 1 << 16

// Pair is the hardware addresses of a frame.
type Pair struct{ Source, Destination [6]byte }

// Table numbers pairs. Its methods are safe for concurrent use.
type Table struct{ *intern.Set[Pair, Pair] }

// NewTable returns a table with no pairs.
func NewTable() *Table { return &Table{intern.New[Pair](Pair{})} }

// Number returns the number of a pair, the same for equal ones, and None if there
// are too many. It is valid until a Release that does not keep it.
func (t *Table) Number(p Pair) uint32 {
	if p == (Pair{}) {
		return None
	}
	return t.NumberWithin(MaxPairs, p, p)
}

// At returns the pair with number n; it is empty for None and for a number that
// stands for nothing.
func (t *Table) At(n uint32) Pair {
	if p := t.Set.At(n); p != nil {
		return *p
	}
	return Pair{}
}
