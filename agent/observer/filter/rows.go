package filter

import (
	"math/bits"

	"github.com/fovea-obs/fovea/agent/history"
)

// wordRows is how many rows a word of Rows is for.
const wordRows = 64

// Rows is a set of rows of a chunk.
type Rows [history.ChunkSize / wordRows]uint64

// fill makes the set lo to hi-1.
func (r *Rows) fill(lo, hi int) {
	*r = Rows{}
	if lo >= hi {
		return
	}
	first, last := lo/wordRows, (hi-1)/wordRows
	for w := first; w <= last; w++ {
		r[w] = ^uint64(0)
	}
	r[first] &= ^uint64(0) << (lo % wordRows)
	r[last] &= ^uint64(0) >> (wordRows - 1 - (hi-1)%wordRows)
}

func (r *Rows) add(o *Rows) {
	for w := range r {
		r[w] |= o[w]
	}
}

func (r *Rows) remove(o *Rows) {
	for w := range r {
		r[w] &^= o[w]
	}
}

func (r *Rows) empty() bool {
	var any uint64
	for _, m := range r {
		any |= m
	}
	return any == 0
}

// Count is the number of rows in the set.
func (r *Rows) Count() int {
	n := 0
	for _, m := range r {
		n += bits.OnesCount64(m)
	}
	return n
}

// Next returns the first row of the set from row on, or ChunkSize.
func (r *Rows) Next(row int) int {
	for w := row / wordRows; w < len(r); w++ {
		m := r[w]
		if w == row/wordRows {
			m &= ^uint64(0) << (row % wordRows)
		}
		if m != 0 {
			return w*wordRows + bits.TrailingZeros64(m)
		}
	}
	return history.ChunkSize
}

// Last returns the n-th row of the set from its end, the last for n = 1. There
// must be so many.
func (r *Rows) Last(n int) int {
	for w := len(r) - 1; ; w-- {
		m := r[w]
		if c := bits.OnesCount64(m); c < n {
			n -= c
			continue
		}
		for ; n > 1; n-- {
			m &^= 1 << (wordRows - 1 - bits.LeadingZeros64(m))
		}
		return w*wordRows + wordRows - 1 - bits.LeadingZeros64(m)
	}
}
