package history

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func TestNumbersHas(t *testing.T) {
	var n Numbers
	list := []uint32{0, 1, 63, 64, 65, 200}
	n.add(list[:3])
	n.add(list[3:])
	n.add(nil)
	in := map[uint32]bool{}
	for _, v := range list {
		in[v] = true
	}
	for v := range uint32(300) {
		if n.Has(v) != in[v] {
			t.Errorf("%d is in it: %v", v, n.Has(v))
		}
	}
	if n.Has(1<<32-1) || Numbers(nil).Has(0) {
		t.Error("it has what was never added")
	}
}

// usedModel keeps all that was written, by sequence number.
type usedModel struct {
	records []Record
	// held are the chunks that readers hold, by number.
	held map[uint64]int
}

// check compares Used with the records that can be read: those of the ring, and
// of chunks that readers hold.
func (m *usedModel) check(t *testing.T, h *History) {
	t.Helper()
	want := [4]map[uint32]bool{{}, {}, {}, {}}
	sets := [...]int{0, 0, 1, 1, 2, 3}
	for first := 0; first < len(m.records); first += ChunkSize {
		if uint64(first) < h.Oldest() && m.held[uint64(first)/ChunkSize] == 0 {
			continue
		}
		for i := range m.records[first:min(first+ChunkSize, len(m.records))] {
			for column, n := range numbersOf(&m.records[first+i]) {
				want[sets[column]][*n] = true
			}
		}
	}
	u := h.Used()
	for i, got := range []Numbers{u.Endpoints, u.Services, u.Fates, u.Names} {
		for v := range uint32(usedNumbers + 100) {
			if got.Has(v) != want[i][v] {
				t.Fatalf("%d records from %d on, %v held: set %d has %d: %v, want %v",
					len(m.records), h.Oldest(), m.held, i, v, got.Has(v), want[i][v])
			}
		}
	}
}

// usedNumbers is how many numbers there are. A record chooses from a window of
// them, which moves: so that numbers come and go.
const usedNumbers = 2000

func (m *usedModel) append(h *History, rnd *rand.Rand, count int) {
	// Some are more than a summary lists.
	widths := [...]uint32{10, 10, 10, 2 * maxDistinct, 10, 2 * maxDistinct}
	for range count {
		var r Record
		window := uint32(len(m.records)/ChunkSize) * 60
		for i, n := range numbersOf(&r) {
			*n = (window + uint32(i)*10 + rnd.Uint32N(widths[i])) % usedNumbers
		}
		h.Append(&r)
		m.records = append(m.records, r)
	}
}

// TestUsed has readers hold chunks and let go of them while the writer goes on.
func TestUsed(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			const steps = 30
			h, rnd := newHistory(t, 3), rand.New(rand.NewPCG(seed, 0))
			m := &usedModel{held: map[uint64]int{}}
			var held []Segment
			m.check(t, h)
			for range steps {
				m.append(h, rnd, 1+rnd.IntN(ChunkSize))
				m.check(t, h)
				if rnd.IntN(2) == 0 {
					s := segment(t, h, h.Oldest()+rnd.Uint64N(h.Next()-h.Oldest()))
					held = append(held, s)
					m.held[s.First/ChunkSize]++
				} else if len(held) > 0 {
					i := rnd.IntN(len(held))
					m.held[held[i].First/ChunkSize]--
					held[i].Release()
					held = append(held[:i], held[i+1:]...)
				}
				m.check(t, h)
			}
			for i := range held {
				m.held[held[i].First/ChunkSize]--
				held[i].Release()
			}
			m.check(t, h)
			if len(h.left) > 0 {
				t.Errorf("%d chunks are left to nobody", len(h.left))
			}
		})
	}
}

// TestUsedOfPart has a reader hold a part of a chunk: all of it is in use.
func TestUsedOfPart(t *testing.T) {
	h, m := newHistory(t, 2), &usedModel{held: map[uint64]int{0: 1}}
	rnd := rand.New(rand.NewPCG(1, 2))
	m.append(h, rnd, 10)
	s := segment(t, h, 0)
	m.append(h, rnd, 5*ChunkSize)
	m.check(t, h)
	m.held[0] = 0
	s.Release()
	m.check(t, h)
}
