package history

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// newHistory returns a history of so many chunks.
func newHistory(t testing.TB, chunks int) *History {
	t.Helper()
	h, err := New(int64(chunks) * chunkBytes)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// distinct is how many different numbers each column of the tests' records has.
// They are small, as a summary's cost grows with them; some are more than it lists.
var distinct = [...]uint32{3 * maxDistinct, maxDistinct, 2 * maxDistinct, 100, 20, 1}

// numbersOf are the interned numbers of a record, in the order of [Used].
func numbersOf(r *Record) [6]*uint32 {
	return [...]*uint32{&r.Source, &r.Destination, &r.SourceService, &r.DestinationService, &r.Fate, &r.Names}
}

// recordOf is the record that the tests write as number n. No two have a field
// in common but for chance.
func recordOf(n uint64) (r Record) {
	rnd := rand.New(rand.NewPCG(n, 1))
	fields := reflect.ValueOf(&r).Elem()
	for i := range fields.NumField() {
		randomize(fields.Field(i), rnd)
	}
	for i, n := range numbersOf(&r) {
		*n = 1 + *n%distinct[i]
	}
	r.Time = int64(n) + 1
	return r
}

func randomize(v reflect.Value, rnd *rand.Rand) {
	switch {
	case v.Kind() == reflect.Array:
		for i := range v.Len() {
			randomize(v.Index(i), rnd)
		}
	case v.CanInt():
		v.SetInt(rnd.Int64())
	default:
		// Never 0, which a field that is not copied would be.
		v.SetUint(rnd.Uint64() | 1)
	}
}

// patterns are the records that tests write in turn: making one is slow.
var patterns = func() (list [1021]Record) {
	for i := range list {
		list[i] = recordOf(uint64(i))
	}
	return list
}()

func pattern(n uint64) Record {
	r := patterns[n%uint64(len(patterns))]
	r.Time = int64(n) + 1
	return r
}

// write appends the next n records.
func write(h *History, n int) {
	for range n {
		r := pattern(h.Next())
		h.Append(&r)
	}
}

// check fails unless row i of the segment is the record that was written there.
func check(t testing.TB, s *Segment, i int) {
	t.Helper()
	var got Record
	if s.Record(i, &got); got != pattern(s.First+uint64(i)) {
		t.Errorf("record %d is %+v, want %+v", s.First+uint64(i), got, pattern(s.First+uint64(i)))
	}
}

func segment(t testing.TB, h *History, seq uint64) Segment {
	t.Helper()
	s, err := h.Segment(seq)
	if err != nil {
		t.Fatalf("segment of %d: %v", seq, err)
	}
	return s
}

func TestNew(t *testing.T) {
	for name, tt := range map[string]struct {
		size     int64
		capacity uint64
		err      string
	}{
		"nothing":          {size: 0, err: fmt.Sprintf("history of 0 bytes: at least %d needed", MinSize)},
		"negative":         {size: -1, err: fmt.Sprintf("history of -1 bytes: at least %d needed", MinSize)},
		"too small":        {size: MinSize - 1, err: fmt.Sprintf("history of %d bytes: at least %d needed", MinSize-1, MinSize)},
		"least":            {size: MinSize, capacity: ChunkSize},
		"almost one more":  {size: 3*chunkBytes - 1, capacity: ChunkSize},
		"one more":         {size: 3 * chunkBytes, capacity: 2 * ChunkSize},
		"a chunk is small": {size: 128 << 20, capacity: uint64(128<<20/chunkBytes-1) * ChunkSize},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := New(tt.size)
			if err != nil || tt.err != "" {
				if err == nil || err.Error() != tt.err {
					t.Errorf("got error %v, want %s", err, tt.err)
				}
				return
			}
			if h.Capacity() != tt.capacity {
				t.Errorf("capacity %d, want %d", h.Capacity(), tt.capacity)
			}
			if h.Oldest() != 0 || h.Next() != 0 {
				t.Errorf("it starts with %d to %d", h.Oldest(), h.Next())
			}
		})
	}
}

// TestColumns guards that every field of a record has a column.
func TestColumns(t *testing.T) {
	h := newHistory(t, 2)
	write(h, 1)
	for n := range uint64(3) {
		want := recordOf(n + 1)
		want.Time = int64(n) + 10
		h.Append(&want)
		s := segment(t, h, n+1)
		var got Record
		if s.Record(int(n+1), &got); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		columns, record := reflect.ValueOf(s.Columns()).Elem(), reflect.ValueOf(want)
		for i := range record.NumField() {
			name := record.Type().Field(i).Name
			column := columns.FieldByName(name)
			if !column.IsValid() {
				t.Errorf("%s has no column", name)
			} else if got := column.Index(int(n + 1)); !got.Equal(record.Field(i)) {
				t.Errorf("column %s has %v, want %v", name, got, record.Field(i))
			}
		}
		s.Release()
	}
}

func TestTime(t *testing.T) {
	for name, tt := range map[string]struct{ times, want []int64 }{
		"forward":       {[]int64{5, 6, 9}, []int64{5, 6, 9}},
		"still":         {[]int64{5, 5, 5}, []int64{5, 6, 7}},
		"back":          {[]int64{10, 3, 4, 20}, []int64{10, 11, 12, 20}},
		"back a little": {[]int64{10, 9, 11, 12, 13}, []int64{10, 11, 12, 13, 14}},
		"unset":         {[]int64{0, 0}, []int64{1, 2}},
		"before 1970":   {[]int64{-7, 3}, []int64{1, 3}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHistory(t, 2)
			for i, at := range tt.times {
				r := Record{Time: at}
				if h.Append(&r); r.Time != tt.want[i] {
					t.Errorf("time %d becomes %d, want %d", at, r.Time, tt.want[i])
				}
			}
			s := segment(t, h, 0)
			defer s.Release()
			if got := s.Columns().Time[:s.Len]; !slices.Equal(got, tt.want) {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

// TestOrder writes times that jump about, over several wraps.
func TestOrder(t *testing.T) {
	h, rnd := newHistory(t, 3), rand.New(rand.NewPCG(1, 2))
	var last int64
	for seq := range uint64(7*ChunkSize + 100) {
		r := Record{Time: rnd.Int64N(1 << 20)}
		given := r.Time
		h.Append(&r)
		if r.Time <= last || given > last && r.Time != given {
			t.Fatalf("record %d of time %d after %d is given time %d", seq, given, last, r.Time)
		}
		last = r.Time
		if h.Next() != seq+1 {
			t.Fatalf("next is %d after record %d", h.Next(), seq)
		}
	}
}

func TestChanged(t *testing.T) {
	h := newHistory(t, 2)
	closed := func(c <-chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	first, same := h.Changed(), h.Changed()
	if write(h, 1); closed(first) {
		t.Error("it wakes before the batch is complete")
	}
	if h.Notify(); !closed(first) || !closed(same) {
		t.Error("Notify does not wake all who wait")
	}
	h.Notify()
	second := h.Changed()
	if closed(second) {
		t.Error("it wakes for what was before")
	}
	if h.Notify(); !closed(second) {
		t.Error("the second Notify does not wake")
	}
	if n := testing.AllocsPerRun(100, h.Notify); n != 0 {
		t.Errorf("%v allocations though nobody waits", n)
	}
}
