package intern

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// model is the plain form of a Set: it keeps all that was said.
type model struct {
	numbers map[string]uint32
	// last is what each number stood for last, and since which epoch.
	last map[uint32]since
}

type since struct {
	key   string
	epoch uint64
}

// TestModel compares a Set with the model after each of many random calls.
func TestModel(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { runModel(t, rand.New(rand.NewPCG(seed, 0))) })
	}
}

func runModel(t *testing.T, rnd *rand.Rand) {
	const calls, keys, fixed = 2000, 300, 2
	s := New[string]("fixed 0", "fixed 1")
	m := model{map[string]uint32{}, map[uint32]since{}}
	highest := fixed // what Len should be
	for range calls {
		if rnd.IntN(50) > 0 {
			key := fmt.Sprint(rnd.IntN(keys))
			n := s.Number(key, "value of "+key)
			if known, ok := m.numbers[key]; ok && known != n {
				t.Fatalf("%s was %d and is %d", key, known, n)
			} else if !ok {
				m.give(t, key, n, s.Epoch())
				highest = max(highest, len(m.numbers)+fixed)
			}
		} else {
			share := rnd.Float64()
			kept := s.Release(func(n uint32) bool {
				was, ok := m.last[n]
				if held, is := m.numbers[was.key]; !ok || !is || held != n {
					t.Fatalf("asked for %d, which stands for nothing", n)
				}
				keep := rnd.Float64() < share
				if !keep {
					delete(m.numbers, was.key)
				}
				return keep
			})
			if kept != len(m.numbers) {
				t.Fatalf("%d kept, want %d", kept, len(m.numbers))
			}
		}
		m.compare(t, s, highest)
	}
}

// give notes that a number was given, which must be nobody's, and for another
// value than before only in a later epoch.
func (m *model) give(t *testing.T, key string, n uint32, epoch uint64) {
	for other, number := range m.numbers {
		if number == n {
			t.Fatalf("%s is given %d, which is %s", key, n, other)
		}
	}
	if before, ok := m.last[n]; ok && before.key != key && before.epoch == epoch {
		t.Fatalf("%d is %s and was %s in the same epoch", n, key, before.key)
	}
	m.numbers[key] = n
	m.last[n] = since{key, epoch}
}

func (m *model) compare(t *testing.T, s *Set[string, string], highest int) {
	if s.Len() != highest {
		t.Fatalf("%d numbers, want %d", s.Len(), highest)
	}
	want := map[uint32]string{0: "fixed 0", 1: "fixed 1"}
	for key, n := range m.numbers {
		want[n] = "value of " + key
	}
	for n := range uint32(highest + 2) {
		v, ok := want[n]
		if got := s.At(n); (got != nil) != ok || ok && *got != v {
			t.Fatalf("number %d is %v, want %q", n, got, v)
		}
	}
}
