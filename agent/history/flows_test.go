package history

import (
	"math/rand/v2"
	"testing"
)

// TestFlows has losses among the flows, by chance, some chunks full of them, and
// compares with a plain count.
func TestFlows(t *testing.T) {
	const chunks, total = 3, 7*ChunkSize + 100
	rnd := rand.New(rand.NewPCG(5, 6))
	h := newHistory(t, chunks)
	before := make([]uint64, total+1)
	for seq := range total {
		r := Record{Kind: KindTrace}
		if chunk := seq / ChunkSize; chunk == 1 || chunk == 5 || rnd.IntN(100) == 0 {
			r.Kind = KindLost
		}
		h.Append(&r)
		before[seq+1] = before[seq]
		if r.Kind != KindLost {
			before[seq+1]++
		}
		if rnd.IntN(20) > 0 && seq < total-3 {
			continue
		}
		for _, of := range []uint64{h.Oldest(), uint64(seq)} {
			s := segment(t, h, of)
			for _, row := range []int{0, int(of - s.First), s.Len / 2, s.Len} {
				if got, want := s.Flows(row), before[s.First+uint64(row)]; got != want {
					t.Fatalf("%d flows before row %d of %d, want %d", got, row, s.First, want)
				}
			}
			s.Release()
		}
	}
}
