package history

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// deadline is how long a test waits for what must happen.
const deadline = 10 * time.Second

// TestConcurrent has readers of different speeds follow one writer. Each finds
// every record, in order and whole, or is told that it was overwritten, and full
// chunks have their own summary.
func TestConcurrent(t *testing.T) {
	const readers, total = 50, 20 * ChunkSize
	h := newHistory(t, 3)
	var wg sync.WaitGroup
	for i := range readers {
		wg.Go(func() {
			if read, lost := follow(t, h, i, total); read+lost != total || read == 0 {
				t.Errorf("reader %d has read %d and lost %d of %d", i, read, lost, total)
			}
		})
	}
	for h.Next() < total && !t.Failed() {
		write(h, 64)
		h.Notify()
		runtime.Gosched()
	}
	wg.Wait()
}

// follow reads total records; the higher its number, the longer a reader holds
// what it reads.
func follow(t *testing.T, h *History, number int, total uint64) (read, lost uint64) {
	for next := uint64(0); next < total && wait(t, h, next); {
		s, err := h.Segment(next)
		if err != nil {
			oldest := h.Oldest()
			if !errors.Is(err, ErrOverwritten) || oldest <= next {
				t.Errorf("record %d: %v, but the oldest is %d", next, err, oldest)
				return
			}
			lost += oldest - next
			next = oldest
			continue
		}
		for range number % 5 {
			runtime.Gosched()
		}
		first, end := int(next-s.First), s.Len
		for i := first; i < end; i += 1 + number*7 {
			check(t, &s, i)
		}
		check(t, &s, end-1)
		// A recount is slow: not all readers look at all summaries.
		if number%5 == int(s.First/ChunkSize)%5 {
			checkSummary(t, &s)
		}
		s.Release()
		read += uint64(end - first)
		next += uint64(end - first)
	}
	return read, lost
}

// wait returns when there is more to read than up to next, as readers do.
func wait(t *testing.T, h *History, next uint64) bool {
	for h.Next() <= next {
		changed := h.Changed()
		if h.Next() > next {
			break
		}
		select {
		case <-changed:
		case <-time.After(deadline):
			t.Errorf("nobody tells that there is more than %d", next)
			return false
		}
	}
	return !t.Failed()
}

// TestEdge has readers go for the chunk that the writer is about to take. Only
// the first row of each chunk is written, to get there often.
func TestEdge(t *testing.T) {
	const readers, period = 2, 500 * time.Millisecond
	h := newHistory(t, 2)
	write(h, 1)
	var wg sync.WaitGroup
	var done atomic.Bool
	for range readers {
		wg.Go(func() {
			for !done.Load() && !t.Failed() {
				seq := h.Oldest()
				s, err := h.Segment(seq)
				if err == nil {
					check(t, &s, 0)
					s.Release()
				} else if h.Oldest() <= seq {
					t.Errorf("record %d: %v, but it is the oldest", seq, err)
				}
			}
		})
	}
	for end := time.Now().Add(period); time.Now().Before(end); {
		h.next.Add(ChunkSize - 1)
		write(h, 1)
	}
	done.Store(true)
	wg.Wait()
}

// TestNoWakeUpIsLost writes the next record when the last one was seen, perhaps
// before its Notify: if that does not wake the reader, all stands still.
func TestNoWakeUpIsLost(t *testing.T) {
	const total = 40_000
	h := newHistory(t, 2)
	var seen atomic.Uint64
	var wg sync.WaitGroup
	wg.Go(func() {
		for next := uint64(0); next < total && wait(t, h, next); next++ {
			seen.Store(next + 1)
		}
	})
	for next := uint64(0); next < total && !t.Failed(); next++ {
		write(h, 1)
		h.Notify()
		for seen.Load() <= next && !t.Failed() {
			runtime.Gosched()
		}
	}
	wg.Wait()
}
