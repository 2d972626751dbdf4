package history

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestByteSet(t *testing.T) {
	all := []uint8{0, 1, 63, 64, 127, 128, 191, 192, 254, 255}
	for _, b := range all {
		var s, same, other ByteSet
		if s.Has(b) || s.Overlaps(&s) {
			t.Errorf("the empty set has %d, or a part in common with itself", b)
		}
		s.Add(b)
		s.Add(b)
		same.Add(b)
		for _, c := range all {
			if s.Has(c) != (b == c) {
				t.Errorf("the set of %d has %d: %v", b, c, s.Has(c))
			}
			if c != b {
				other.Add(c)
			}
		}
		if !s.Overlaps(&same) || s.Overlaps(&other) || other.Overlaps(&s) {
			t.Errorf("the set of %d has %v in common with itself and %v with others", b, s.Overlaps(&same), s.Overlaps(&other))
		}
	}
}

// plain is a Summary counted plainly.
type plain struct {
	numbers                            [6]map[uint32]bool
	verdict, direction, kind, protocol map[uint8]bool
}

func recount(s *Segment) *plain {
	p := &plain{verdict: map[uint8]bool{}, direction: map[uint8]bool{}, kind: map[uint8]bool{}, protocol: map[uint8]bool{}}
	for i := range p.numbers {
		p.numbers[i] = map[uint32]bool{}
	}
	var r Record
	for i := range s.Len {
		s.Record(i, &r)
		for column, n := range numbersOf(&r) {
			p.numbers[column][*n] = true
		}
		p.verdict[r.Verdict], p.direction[r.Direction] = true, true
		p.kind[uint8(r.Kind)], p.protocol[r.Protocol] = true, true
	}
	return p
}

// checkSummary fails unless the segment's summary is what a recount finds: with no
// list of more than maxDistinct, and none at all if its chunk is not full.
func checkSummary(t testing.TB, s *Segment) {
	t.Helper()
	got := s.Summary()
	if (got != nil) != (s.Len == ChunkSize) {
		t.Fatalf("segment of %d rows has a summary: %v", s.Len, got != nil)
	}
	if got == nil {
		return
	}
	want := recount(s)
	for i, list := range [][]uint32{
		got.Source, got.Destination, got.SourceService, got.DestinationService, got.Fate, got.Names,
	} {
		if n := len(want.numbers[i]); len(list) != n && n <= maxDistinct || len(list) > 0 && n > maxDistinct {
			t.Errorf("chunk at %d, list %d: %d numbers of %d", s.First, i, len(list), n)
		}
		for _, n := range list {
			if !want.numbers[i][n] {
				t.Errorf("chunk at %d, list %d: %d is in no row", s.First, i, n)
			}
		}
	}
	for i, tt := range []struct {
		got  ByteSet
		want map[uint8]bool
	}{
		{got.Verdict, want.verdict}, {got.Direction, want.direction}, {got.Kind, want.kind}, {got.Protocol, want.protocol},
	} {
		for b := range 256 {
			if tt.got.Has(uint8(b)) != tt.want[uint8(b)] {
				t.Errorf("chunk at %d, set %d: %d is in it: %v", s.First, i, b, tt.got.Has(uint8(b)))
			}
		}
	}
}

// checkSummaries looks at all that is held.
func checkSummaries(t *testing.T, h *History) {
	t.Helper()
	for seq := h.Oldest(); seq < h.Next(); {
		s := segment(t, h, seq)
		checkSummary(t, &s)
		seq = s.First + uint64(s.Len)
		s.Release()
	}
}

// few returns a record with few numbers, as those of a quiet time.
func few(rnd *rand.Rand) (r Record) {
	for _, n := range numbersOf(&r) {
		*n = rnd.Uint32N(3) * rnd.Uint32N(50)
	}
	r.Kind, r.Verdict = KindTrace, uint8(rnd.IntN(2))
	return r
}

func TestSummary(t *testing.T) {
	h, rnd := newHistory(t, 3), rand.New(rand.NewPCG(1, 2))
	checkSummaries(t, h)
	for _, n := range []int{1, ChunkSize - 2, 1, 1, ChunkSize, 100, 5 * ChunkSize} {
		write(h, n)
		checkSummaries(t, h)
	}
	// Nothing of what a chunk held before is left.
	for range 4 * ChunkSize {
		r := few(rnd)
		h.Append(&r)
	}
	checkSummaries(t, h)
	for range 4 * ChunkSize {
		h.Append(&Record{})
	}
	checkSummaries(t, h)
	s := segment(t, h, h.Oldest())
	defer s.Release()
	if got := s.Summary(); !slices.Equal(got.Source, []uint32{0}) || got.Kind != (ByteSet{1}) {
		t.Errorf("the summary of empty records is %+v", got)
	}
}

// TestSummaryStays has a reader hold chunks while the writer goes on.
func TestSummaryStays(t *testing.T) {
	h := newHistory(t, 3)
	write(h, 2*ChunkSize-1)
	full, part := segment(t, h, 0), segment(t, h, ChunkSize)
	defer full.Release()
	defer part.Release()
	before := *recount(&full)
	for range 3 {
		write(h, 4*ChunkSize)
		checkSummary(t, &full)
		// It is full now, but was not for this reader.
		checkSummary(t, &part)
	}
	if after := recount(&full); len(after.numbers[0]) != len(before.numbers[0]) {
		t.Error("the chunk changed")
	}
}

// TestStamps holds that summaries are right when their stamps start again: what
// was stamped long ago is not taken for what is now.
func TestStamps(t *testing.T) {
	h := newHistory(t, 3)
	write(h, ChunkSize)
	for n := range h.summarizer.stamps {
		h.summarizer.stamps[n] = uint32(n%8) + 1
	}
	h.summarizer.stamp = 1<<32 - 1
	write(h, 2*ChunkSize)
	checkSummaries(t, h)
	if h.summarizer.stamp == 0 || h.summarizer.stamp > 100 {
		t.Errorf("stamp %d", h.summarizer.stamp)
	}
}

// TestMaxDistinct has columns with as many values as are listed, and one more.
func TestMaxDistinct(t *testing.T) {
	h := newHistory(t, 3)
	for i := range uint32(ChunkSize) {
		h.Append(&Record{Source: i % maxDistinct, Destination: i % (maxDistinct + 1), Fate: i, Names: 5})
	}
	s := segment(t, h, 0)
	defer s.Release()
	checkSummary(t, &s)
	got := s.Summary()
	if len(got.Source) != maxDistinct || len(got.Destination) > 0 || len(got.Fate) > 0 || !slices.Equal(got.Names, []uint32{5}) {
		t.Errorf("lists of %d, %d, %d and %d", len(got.Source), len(got.Destination), len(got.Fate), len(got.Names))
	}
}
