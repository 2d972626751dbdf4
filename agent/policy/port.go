package policy

import (
	"maps"
	"slices"
)

// boundaries divide ports into ranges that no policy divides further.
type boundaries struct {
	// counts has how many ranges begin at a port, or ended before it.
	counts map[uint16]int
	// sorted are the keys of counts, if it is not nil.
	sorted []uint16
}

// add counts the ends of a range so many times more.
func (b *boundaries) add(p Port, times int) {
	b.count(p.First, times)
	if p.Last+1 != 0 {
		b.count(p.Last+1, times)
	}
}

func (b *boundaries) count(at uint16, times int) {
	before := b.counts[at]
	b.counts[at] = before + times
	if before+times == 0 {
		delete(b.counts, at)
	}
	if before == 0 || before+times == 0 {
		b.sorted = nil
	}
}

// floor is the first port of the range that a port is in.
func (b *boundaries) floor(port uint16) uint16 {
	if len(b.counts) == 0 {
		return 0
	}
	if b.sorted == nil {
		b.sorted = slices.Sorted(maps.Keys(b.counts))
	}
	i, is := slices.BinarySearch(b.sorted, port)
	switch {
	case is:
		return port
	case i == 0:
		return 0
	}
	return b.sorted[i-1]
}
