package intern

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

// ring stands for the history: chunks of numbers that a writer adds, and takes
// back when nobody reads them.
type ring struct {
	mu     sync.Mutex
	chunks []*chunk // the newest last
	left   []*chunk // those that are out of the ring but read
}

type chunk struct {
	numbers []uint32
	keys    []string
	pins    int
}

// pin returns a chunk that keeps its numbers until unpin, or nil.
func (r *ring) pin(rnd *rand.Rand) *chunk {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.chunks) == 0 {
		return nil
	}
	c := r.chunks[rnd.IntN(len(r.chunks))]
	c.pins++
	return c
}

func (r *ring) unpin(c *chunk) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c.pins--
}

// add puts c in the place of the oldest chunk and returns the numbers in use.
func (r *ring) add(c *chunk, size int) map[uint32]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.chunks = append(r.chunks, c)
	if len(r.chunks) > size {
		r.left = append(r.left, r.chunks[0])
		r.chunks = r.chunks[1:]
	}
	used := map[uint32]bool{}
	var left []*chunk
	for _, c := range r.left {
		if c.pins > 0 {
			left = append(left, c)
		}
	}
	r.left = left
	for _, list := range [][]*chunk{r.chunks, r.left} {
		for _, c := range list {
			for _, n := range c.numbers {
				used[n] = true
			}
		}
	}
	return used
}

// TestConcurrent has readers look numbers up without locks, while they are
// released and given to others. What a reader remembers is right for as long as
// the epoch says.
func TestConcurrent(t *testing.T) {
	const readers, rounds, size, perChunk, keys = 4, 3000, 4, 16, 500
	s := New[string]("nothing")
	var r ring
	var wg sync.WaitGroup
	var done atomic.Bool
	for i := range readers {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(i), 1))
			epoch, remembered := s.Epoch(), map[uint32]*string{}
			for !done.Load() && !t.Failed() {
				c := r.pin(rnd)
				if c == nil {
					continue
				}
				if now := s.Epoch(); now != epoch {
					epoch = now
					clear(remembered)
				}
				read(t, s, c, remembered)
				r.unpin(c)
			}
		})
	}
	rnd := rand.New(rand.NewPCG(0, 2))
	released := false
	for range rounds {
		c := &chunk{}
		for range perChunk {
			key := fmt.Sprint(rnd.IntN(keys))
			c.keys = append(c.keys, key)
			c.numbers = append(c.numbers, s.Number(key, key))
		}
		used := r.add(c, size)
		before := s.Epoch()
		s.Release(func(n uint32) bool { return used[n] })
		released = released || s.Epoch() != before
	}
	done.Store(true)
	wg.Wait()
	// Each reader may keep one chunk from being taken back.
	if most := 1 + (size+1+readers)*perChunk; !released || s.Len() > most {
		t.Errorf("%d numbers, want at most %d; released: %v", s.Len(), most, released)
	}
}

func read(t *testing.T, s *Set[string, string], c *chunk, remembered map[uint32]*string) {
	for i, n := range c.numbers {
		v := remembered[n]
		if v == nil {
			v = s.At(n)
			remembered[n] = v
		}
		if v == nil || *v != c.keys[i] {
			t.Errorf("number %d is %v, want %q", n, v, c.keys[i])
			return
		}
		if int(n) >= s.Len() {
			t.Errorf("number %d of %d", n, s.Len())
		}
	}
}
