package filter

import (
	"math/bits"

	"github.com/fovea-obs/fovea/agent/history"
)

// block is a chunk in which a plan looks for matches.
type block struct {
	// first is the sequence number of row 0.
	first uint64
	*history.Columns
	// summary is nil if the chunk is not full.
	summary *history.Summary
}

// predicate is a condition on records.
type predicate struct {
	// keep removes the rows for which it is false. Rows that are not in the set
	// may be written at the same time and must not be read.
	keep func(b *block, rows *Rows)
	// none tells that it is false for all rows of a chunk with this summary; nil
	// if that is never known.
	none func(*history.Summary) bool
}

// where keeps the rows for which a test is true.
func where(test func(b *block, row int) bool) predicate {
	return predicate{keep: func(b *block, rows *Rows) { keepWhere(b, rows, test) }}
}

func keepWhere(b *block, rows *Rows, test func(b *block, row int) bool) {
	for w, m := range rows {
		for ; m != 0; m &= m - 1 {
			bit := bits.TrailingZeros64(m)
			if !test(b, w*wordRows+bit) {
				rows[w] &^= 1 << bit
			}
		}
	}
}

// never keeps no row.
func never() predicate {
	return predicate{
		keep: func(_ *block, rows *Rows) { *rows = Rows{} },
		none: func(*history.Summary) bool { return true },
	}
}

// table says of each value of a byte whether it is wanted, as 0 or 1.
type table [256]uint8

func (t *table) add(b uint8) { t[b] = 1 }

func (t *table) set() *history.ByteSet {
	var s history.ByteSet
	for b, wanted := range t {
		if wanted != 0 {
			s.Add(uint8(b))
		}
	}
	return &s
}

// byteIn keeps the rows whose value in a column is wanted. summary, if not nil,
// says which values a chunk has.
func byteIn[T ~uint8](
	column func(*history.Columns) *[history.ChunkSize]T, t *table, summary func(*history.Summary) *history.ByteSet,
) predicate {
	p := predicate{keep: func(b *block, rows *Rows) { keepBytes(column(b.Columns), t, rows) }}
	if summary != nil {
		wanted := t.set()
		p.none = func(s *history.Summary) bool { return !wanted.Overlaps(summary(s)) }
	}
	return p
}

func keepBytes[T ~uint8](values *[history.ChunkSize]T, t *table, rows *Rows) {
	for w, m := range rows {
		switch m {
		case 0:
		case ^uint64(0):
			var kept uint64
			for i, v := range (*[wordRows]T)(values[w*wordRows:]) {
				kept |= uint64(t[v]) << i
			}
			rows[w] = kept
		default:
			for ; m != 0; m &= m - 1 {
				bit := bits.TrailingZeros64(m)
				if t[values[w*wordRows+bit]] == 0 {
					rows[w] &^= 1 << bit
				}
			}
		}
	}
}
