package history

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"unsafe"
)

// MinSize is the least memory, in bytes, that a history can be given: two
// chunks, so that there is always a full one to read.
const MinSize = 2 * chunkBytes

// chunkBytes is a chunk with the lists of its summary.
const chunkBytes = int64(unsafe.Sizeof(chunk{})) + lists*maxDistinct*4

// ErrOverwritten is returned for a sequence number that the ring no longer
// holds.
var ErrOverwritten = errors.New("records overwritten")

// History is a ring of records. One goroutine may call [History.Append] and
// [History.Notify]; all other methods are safe for any number of goroutines.
type History struct {
	// ring[i] holds chunk number i modulo len(ring), or nil.
	ring []atomic.Pointer[chunk]
	// next is the sequence number that the next record will have.
	next atomic.Uint64
	// oldest is the least sequence number still held.
	oldest atomic.Uint64

	changed atomic.Pointer[chan struct{}]
	waiting atomic.Bool

	// The writer's own. left are the chunks that were left to their readers.
	current    *chunk
	left       []*chunk
	summarizer summarizer
	last       int64
	lost       uint64 // records of KindLost
}

// New returns an empty history that uses at most size bytes for its chunks,
// not counting those that readers keep from being used again. It fails if size
// is below MinSize.
func New(size int64) (*History, error) {
	if size < MinSize {
		return nil, fmt.Errorf("history of %d bytes: at least %d needed", size, MinSize)
	}
	h := &History{ring: make([]atomic.Pointer[chunk], size/chunkBytes)}
	ch := make(chan struct{})
	h.changed.Store(&ch)
	return h, nil
}

// Append adds *r as the newest record, which can be read when Append returns.
// It sets r.Time to be greater than the record's before it, where it is not.
func (h *History) Append(r *Record) {
	if r.Time <= h.last {
		r.Time = h.last + 1
	}
	h.last = r.Time
	seq := h.next.Load()
	row := int(seq % ChunkSize)
	if row == 0 {
		h.current = h.advance(seq)
	}
	if r.Kind == KindLost {
		h.lost++
	}
	h.current.set(row, r)
	if row == ChunkSize-1 {
		h.summarizer.seal(h.current)
	}
	h.next.Store(seq + 1)
}

// advance returns an empty chunk in place of the oldest one. oldest is raised
// before the chunk is taken, so that a reader who finds it gone finds out why.
func (h *History) advance(seq uint64) *chunk {
	number := seq / ChunkSize
	slot := &h.ring[number%uint64(len(h.ring))]
	c := slot.Load()
	if c != nil {
		h.oldest.Store(seq - uint64(len(h.ring)-1)*ChunkSize)
	}
	if len(h.left) > 0 {
		h.left = slices.DeleteFunc(h.left, (*chunk).take)
	}
	if c != nil && !c.take() {
		h.left = append(h.left, c)
		c = nil
	}
	if c == nil {
		c = &chunk{}
		c.pins.Store(taken)
	}
	c.number, c.lost = number, h.lost
	c.pins.Store(0)
	slot.Store(c)
	return c
}

// Notify wakes those who wait on Changed. The writer calls it after a batch.
func (h *History) Notify() {
	if !h.waiting.Swap(false) {
		return
	}
	ch := make(chan struct{})
	close(*h.changed.Swap(&ch))
}

// Changed returns a channel that is closed by the next Notify. A reader calls
// it first, then looks at Next, and waits only if there is nothing new.
func (h *History) Changed() <-chan struct{} {
	ch := *h.changed.Load()
	h.waiting.Store(true)
	return ch
}

// Next is the sequence number that the next record will have; all lower ones
// down to Oldest can be read.
func (h *History) Next() uint64 { return h.next.Load() }

// Oldest is the lowest sequence number that is still held. It equals Next when
// the history is empty.
func (h *History) Oldest() uint64 { return h.oldest.Load() }

// Capacity is the number of records that are always held once the ring has
// filled.
func (h *History) Capacity() uint64 { return uint64(len(h.ring)-1) * ChunkSize }

// Segment returns the records of one chunk around seq that are written so far.
// The caller must Release it. It fails with ErrOverwritten if seq is no longer
// held; a seq that is not yet written is a mistake and panics.
func (h *History) Segment(seq uint64) (Segment, error) {
	next := h.next.Load()
	if seq >= next {
		panic("history: segment of a record that is not written yet")
	}
	number := seq / ChunkSize
	c := h.ring[number%uint64(len(h.ring))].Load()
	if c == nil || !c.pin() {
		return Segment{}, ErrOverwritten
	}
	// The chunk may have been taken for a later number before it was pinned.
	if c.number != number {
		c.unpin()
		return Segment{}, ErrOverwritten
	}
	return Segment{chunk: c, First: number * ChunkSize, Len: int(min(ChunkSize, next-number*ChunkSize))}, nil
}
