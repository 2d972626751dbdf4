package history

import (
	"errors"
	"fmt"
	"testing"
)

func TestWrap(t *testing.T) {
	const c = ChunkSize
	for _, chunks := range []int{2, 3, 5} {
		full := chunks * c
		for _, tt := range []struct{ written, oldest int }{
			{0, 0}, {1, 0}, {c, 0}, {c + 1, 0}, {full - 1, 0}, {full, 0},
			{full + 1, c}, {full + c, c}, {full + c + 1, 2 * c}, {3*full + 1, 2*full + c},
		} {
			t.Run(fmt.Sprintf("%d in %d", tt.written, full), func(t *testing.T) {
				h := newHistory(t, chunks)
				write(h, tt.written)
				if h.Oldest() != uint64(tt.oldest) || h.Next() != uint64(tt.written) {
					t.Errorf("holds %d to %d, want %d to %d", h.Oldest(), h.Next(), tt.oldest, tt.written)
				}
				checkHeld(t, h)
			})
		}
	}
}

// checkHeld reads all that is held, and tries what is not.
func checkHeld(t *testing.T, h *History) {
	t.Helper()
	for seq := h.Oldest(); seq < h.Next(); {
		s := segment(t, h, seq)
		if seq < s.First || s.First+uint64(s.Len) <= seq || s.First%ChunkSize != 0 {
			t.Fatalf("segment of %d is %d to %d", seq, s.First, s.First+uint64(s.Len))
		}
		for i := range s.Len {
			check(t, &s, i)
		}
		seq = s.First + uint64(s.Len)
		s.Release()
	}
	if h.Oldest() > 0 {
		for _, seq := range []uint64{0, h.Oldest() - 1} {
			if _, err := h.Segment(seq); !errors.Is(err, ErrOverwritten) {
				t.Errorf("segment of %d: %v, want %v", seq, err, ErrOverwritten)
			}
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("no panic for a record that is not written")
		}
	}()
	_, _ = h.Segment(h.Next())
}

// TestPinned has readers hold segments while the writer goes round several times.
func TestPinned(t *testing.T) {
	h := newHistory(t, 3)
	write(h, ChunkSize+100)
	held := []Segment{segment(t, h, 7), segment(t, h, 8), segment(t, h, ChunkSize)}
	before := *held[0].Columns()
	write(h, 20*ChunkSize)

	if *held[0].Columns() != before {
		t.Error("the full chunk changed")
	}
	for i, rows := range []int{ChunkSize, ChunkSize, 100} {
		if held[i].Len != rows {
			t.Errorf("segment %d became %d rows, want %d", i, held[i].Len, rows)
		}
		if _, err := h.Segment(held[i].First); !errors.Is(err, ErrOverwritten) {
			t.Errorf("segment of %d: %v, want %v", held[i].First, err, ErrOverwritten)
		}
		for row := range held[i].Len {
			check(t, &held[i], row)
		}
		held[i].Release()
	}
	write(h, 5*ChunkSize)
	checkHeld(t, h)
}

// TestOvertaken has a reader go on where it may after it was overtaken.
func TestOvertaken(t *testing.T) {
	h := newHistory(t, 3)
	write(h, 10)
	const next = 5
	write(h, 4*ChunkSize)
	if _, err := h.Segment(next); !errors.Is(err, ErrOverwritten) {
		t.Fatalf("got %v, want %v", err, ErrOverwritten)
	}
	// The ring holds the chunk that is written and the two before it.
	if h.Oldest() != 2*ChunkSize {
		t.Errorf("oldest is %d, want %d", h.Oldest(), 2*ChunkSize)
	}
	s := segment(t, h, h.Oldest())
	defer s.Release()
	if s.First != h.Oldest() {
		t.Errorf("the oldest segment begins at %d, want %d", s.First, h.Oldest())
	}
	check(t, &s, 0)
}

// TestAllocations guards that the writer takes fresh memory only where a reader
// holds the old.
func TestAllocations(t *testing.T) {
	h := newHistory(t, 2)
	r := pattern(0)
	chunk := func() {
		for range ChunkSize {
			h.Append(&r)
		}
		h.Notify()
	}
	chunk()
	chunk()
	if n := testing.AllocsPerRun(5, chunk); n != 0 {
		t.Errorf("%v allocations a chunk", n)
	}
	s := segment(t, h, h.Oldest())
	// AllocsPerRun runs the function once before it counts: here the writer
	// gets past the chunk that is read, and needs it no more.
	if n := testing.AllocsPerRun(5, chunk); n != 0 {
		t.Errorf("%v allocations a chunk once a reader holds one", n)
	}
	s.Release()
	s = segment(t, h, h.Oldest())
	defer s.Release()
	if n := testing.AllocsPerRun(1, func() { chunk(); s.Release(); s = segment(t, h, h.Oldest()) }); n != 7 {
		t.Errorf("%v allocations for a chunk that is read, want itself and the lists of its summary", n)
	}
}
