package intern

import (
	"fmt"
	"slices"
	"testing"
)

// fill gives numbers to so many new values and returns them.
func fill(s *Set[string, string], name string, count int) (numbers []uint32) {
	for i := range count {
		key := fmt.Sprint(name, i)
		numbers = append(numbers, s.Number(key, "value of "+key))
	}
	return numbers
}

// none and all are what Release may keep.
func none(uint32) bool { return false }
func all(uint32) bool  { return true }

func TestNumbers(t *testing.T) {
	for _, fixed := range [][]string{{}, {"nothing"}, {"nothing", "nobody", "nowhere"}} {
		t.Run(fmt.Sprint(len(fixed), " fixed"), func(t *testing.T) {
			s := New[string](fixed...)
			for n, want := range fixed {
				if got := s.At(uint32(n)); got == nil || *got != want {
					t.Errorf("number %d is %v, want %q", n, got, want)
				}
			}
			first := uint32(len(fixed))
			// A fixed value has no key: the same text is another value.
			for i, key := range []string{"a", "b", "nothing"} {
				for range 2 {
					if got := s.Number(key, "value of "+key); got != first+uint32(i) {
						t.Errorf("%s is %d, want %d", key, got, first+uint32(i))
					}
				}
			}
			if got := *s.At(first + 1); got != "value of b" {
				t.Errorf("b is %q", got)
			}
			s.Number("b", "another value")
			if got := *s.At(first + 1); got != "value of b" {
				t.Errorf("b became %q", got)
			}
			if got := s.Len(); got != len(fixed)+3 {
				t.Errorf("%d numbers, want %d", got, len(fixed)+3)
			}
			for _, n := range []uint32{first + 3, 1000, 1<<32 - 1} {
				if got := s.At(n); got != nil {
					t.Errorf("number %d is %q, want nothing", n, *got)
				}
			}
		})
	}
}

func TestRelease(t *testing.T) {
	s := New[string]("nothing")
	fill(s, "x", 5) // 1 to 5
	var asked []uint32
	kept := s.Release(func(n uint32) bool {
		asked = append(asked, n)
		return n%2 == 0
	})
	if want := []uint32{1, 2, 3, 4, 5}; !slices.Equal(asked, want) {
		t.Errorf("it asked for %v, want %v", asked, want)
	}
	if kept != 2 {
		t.Errorf("%d kept, want 2", kept)
	}
	for n, want := range []string{"nothing", "", "value of x1", "", "value of x3", ""} {
		got := s.At(uint32(n))
		if (got == nil) != (want == "") || got != nil && *got != want {
			t.Errorf("number %d is %v, want %q", n, got, want)
		}
	}
	// A number that stands for nothing is not asked for.
	asked = nil
	if s.Release(func(n uint32) bool { asked = append(asked, n); return true }); !slices.Equal(asked, []uint32{2, 4}) {
		t.Errorf("it asked for %v, want 2 and 4", asked)
	}
	// What was kept has its number, and released numbers are given before others.
	got := []uint32{s.Number("x1", ""), s.Number("x3", "")}
	if !slices.Equal(got, []uint32{2, 4}) {
		t.Errorf("what was kept is %v now, want 2 and 4", got)
	}
	got = fill(s, "y", 4)
	if slices.Sort(got); !slices.Equal(got, []uint32{1, 3, 5, 6}) {
		t.Errorf("new ones are %v, want 1, 3, 5 and 6", got)
	}
	if s.Len() != 7 {
		t.Errorf("%d numbers, want 7", s.Len())
	}
	if s.Release(none) != 0 || s.Len() != 7 {
		t.Errorf("%d numbers after all were released, want 7", s.Len())
	}
	if got := s.At(0); got == nil || *got != "nothing" {
		t.Errorf("number 0 is %v now", got)
	}
}

func TestEpoch(t *testing.T) {
	s := New[string]("nothing")
	steps := []struct {
		name    string
		do      func()
		changes bool
	}{
		{"nothing to release", func() { s.Release(none) }, false},
		{"new numbers", func() { fill(s, "x", 100) }, false},
		{"all kept", func() { s.Release(all) }, false},
		{"one released", func() { s.Release(func(n uint32) bool { return n != 7 }) }, true},
		{"a number given again", func() { fill(s, "y", 1) }, false},
		{"all released", func() { s.Release(none) }, true},
		{"nothing more to release", func() { s.Release(none) }, false},
	}
	for _, step := range steps {
		before := s.Epoch()
		if step.do(); (s.Epoch() != before) != step.changes {
			t.Errorf("%s: epoch %d after %d, want a change: %v", step.name, s.Epoch(), before, step.changes)
		}
	}
}

// TestEpochFirst holds that the epoch changes before a number stands for nothing.
func TestEpochFirst(t *testing.T) {
	s := New[string, string]()
	fill(s, "x", 2)
	before := s.Epoch()
	s.Release(func(n uint32) bool {
		// The first is released by now.
		if n == 1 && (s.Epoch() == before || s.At(0) != nil) {
			t.Errorf("epoch %d after %d, and number 0 is %v", s.Epoch(), before, s.At(0))
		}
		return false
	})
}

func TestGrown(t *testing.T) {
	s := New[string]("nothing")
	given := 0
	// grows fails unless it takes so many new values to grow.
	grows := func(after int) {
		t.Helper()
		for i := range after {
			if s.Grown() {
				t.Fatalf("grown after %d, want %d", i, after)
			}
			given++
			s.Number(fmt.Sprint(given), "")
			s.Number(fmt.Sprint(given), "")
		}
		if !s.Grown() {
			t.Fatalf("not grown after %d", after)
		}
	}
	grows(minGrowth)
	s.Release(all)
	grows(minGrowth)
	s.Release(all)
	// Now as many as were kept.
	grows(2 * minGrowth)
	s.Release(all)
	grows(4 * minGrowth)
	s.Release(func(n uint32) bool { return n < 10 })
	grows(minGrowth)
}

// TestGrowth holds that values stay where they are when there are more.
func TestGrowth(t *testing.T) {
	const total = 10_000
	s := New[int]("nothing")
	var values []*string
	for i := range total {
		n := s.Number(i, fmt.Sprint("value ", i))
		if n != uint32(i+1) || s.Len() != i+2 {
			t.Fatalf("the next of %d numbers is %d", s.Len(), n)
		}
		values = append(values, s.At(n))
	}
	for i, v := range values {
		if got := s.At(uint32(i + 1)); got != v || *got != fmt.Sprint("value ", i) {
			t.Fatalf("number %d is %q now, and was %q", i+1, *got, *v)
		}
	}
}

func TestAllocations(t *testing.T) {
	s := New[string]("nothing")
	numbers := fill(s, "x", 100)
	if n := testing.AllocsPerRun(100, func() { s.Number("x7", "value of x7"); s.At(numbers[50]); s.Epoch(); s.Grown() }); n != 0 {
		t.Errorf("%v allocations for what is known", n)
	}
}

// TestReplace checks that a number gets another value for those who have it, and
// for nobody else.
func TestReplace(t *testing.T) {
	s := New[string, string]("none")
	n := s.Number("a", "unknown")
	epoch := s.Epoch()
	s.Replace(n, "known")
	if got := *s.At(n); got != "known" {
		t.Errorf("number %d stands for %q", n, got)
	}
	if s.Epoch() == epoch {
		t.Error("who remembers the number is not told")
	}
	if again := s.Number("a", "unknown"); again == n {
		t.Error("the number is given again for the key that it had")
	}
	if kept := s.Release(func(uint32) bool { return false }); kept != 0 || s.At(n) != nil {
		t.Errorf("%d values kept, and %v for the number", kept, s.At(n))
	}
}

func TestNumberWithin(t *testing.T) {
	s := New[string](0)
	one, two := s.NumberWithin(2, "one", 1), s.NumberWithin(2, "two", 2)
	if three := s.NumberWithin(2, "three", 3); one != 1 || two != 2 || three != 0 {
		t.Errorf("numbers %d, %d, %d", one, two, three)
	}
	if again := s.NumberWithin(2, "two", 2); again != two {
		t.Errorf("number %d, and was %d", again, two)
	}
	s.Release(func(n uint32) bool { return n == two })
	if three := s.NumberWithin(2, "three", 3); three == 0 || *s.At(three) != 3 {
		t.Errorf("number %d after one was released", three)
	}
}
