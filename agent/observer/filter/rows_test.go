package filter

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/fovea-obs/fovea/agent/history"
)

// list returns the rows of a set by looking at each bit.
func list(r *Rows) (out []int) {
	for row := range history.ChunkSize {
		if r[row/wordRows]>>(row%wordRows)&1 != 0 {
			out = append(out, row)
		}
	}
	return out
}

func TestFill(t *testing.T) {
	const end = history.ChunkSize
	for _, tt := range [][2]int{
		{0, 0}, {0, 1}, {0, 63}, {0, 64}, {0, 65}, {1, 64}, {63, 65}, {64, 64}, {64, 128}, {5, 5},
		{100, 4000}, {0, end}, {end - 1, end}, {end, end},
	} {
		lo, hi := tt[0], tt[1]
		r := Rows{1, 2, 3}
		r.fill(lo, hi)
		var want []int
		for row := lo; row < hi; row++ {
			want = append(want, row)
		}
		if got := list(&r); !slices.Equal(got, want) {
			t.Errorf("%d to %d: got %v", lo, hi, got)
		}
	}
}

// TestRows compares the set with a plain list, for sets of each density.
func TestRows(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, density := range []float64{0, 0.0005, 0.01, 0.5, 0.99, 1} {
		var r Rows
		for row := range history.ChunkSize {
			if rnd.Float64() < density {
				r[row/wordRows] |= 1 << (row % wordRows)
			}
		}
		want := list(&r)
		if r.Count() != len(want) || r.empty() != (len(want) == 0) {
			t.Errorf("%v: counts %d, empty %v, want %d", density, r.Count(), r.empty(), len(want))
		}
		var got []int
		for row := r.Next(0); row < history.ChunkSize; row = r.Next(row + 1) {
			got = append(got, row)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v: Next goes through %v, want %v", density, got, want)
		}
		for n := 1; n <= len(want); n++ {
			if got := r.Last(n); got != want[len(want)-n] {
				t.Fatalf("%v: Last(%d) is %d, want %d", density, n, got, want[len(want)-n])
			}
		}
	}
}
