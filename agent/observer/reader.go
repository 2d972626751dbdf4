package observer

import (
	"math"
	"sort"

	"github.com/fovea-obs/fovea/agent/history"
)

// reader goes through a history and finds what passes a plan. It holds a chunk
// only while it looks at it.
type reader struct {
	history *history.History
	plan    *plan
	// next is where to go on, end where the request ends.
	next, end uint64
	// since and until are the first and the last time that are wanted. done
	// says that the last is over.
	since, until int64
	done         bool
	// lost is how many records were overwritten before they could be read and
	// lostAt a time after theirs and before that of the next record, 0 if there
	// is none yet.
	lost   uint64
	lostAt int64
	// rows is room for a block's matches.
	rows []row
}

// exhausted tells whether all has been read that the request asks for.
func (r *reader) exhausted() bool { return r.done || r.next >= r.end }

// pending tells whether there is something to read.
func (r *reader) pending() bool { return r.next < min(r.end, r.history.Next()) }

// read returns the next records that pass, all of one chunk, and none if there
// are none in it. They are valid until the next call. There must be something
// pending.
func (r *reader) read() []row {
	r.rows = r.rows[:0]
	last := min(r.end, r.history.Next())
	if r.next = min(last, r.plan.forward(r.next)); r.next == last {
		return nil
	}
	segment, err := r.history.Segment(r.next)
	if err != nil {
		r.skip()
		return nil
	}
	defer segment.Release()
	if r.lost > 0 && r.lostAt == 0 {
		r.lostAt = segment.Columns().Time[r.next-segment.First] - 1
	}
	stop := r.limit(&segment)
	for r.next < stop && len(r.rows) == 0 {
		r.block(&segment, stop)
	}
	return r.rows
}

// skip goes on after what was overwritten.
func (r *reader) skip() {
	to := min(r.end, max(r.next, r.history.Oldest()))
	r.lost += to - r.next
	r.lostAt = 0
	r.next = to
}

// limit moves next on to the segment's first record that is wanted, and returns
// the sequence number after its last one.
func (r *reader) limit(s *history.Segment) uint64 {
	rows := int(min(uint64(s.Len), r.end-s.First))
	times := s.Columns().Time[:rows]
	after := func(at int64) uint64 {
		return s.First + uint64(sort.Search(rows, func(i int) bool { return times[i] > at }))
	}
	if times[r.next-s.First] < r.since {
		r.next = after(r.since - 1)
	}
	stop := s.First + uint64(rows)
	if times[rows-1] > r.until {
		stop = after(r.until)
		r.done = stop <= r.next
	}
	return stop
}

// block adds what passes of the next block of a segment.
func (r *reader) block(s *history.Segment, stop uint64) {
	lo := int(r.next - s.First)
	hi := min(lo+blockSize-lo%blockSize, int(stop-s.First))
	for _, i := range r.plan.match(&block{s.First, s.Columns()}, lo, hi) {
		r.rows = append(r.rows, row{sequence: s.First + uint64(i)})
		s.Record(int(i), &r.rows[len(r.rows)-1].Record)
	}
	r.next = s.First + uint64(hi)
}

// rewind moves next back from end, to where the last number flows that pass
// begin, or to the oldest record if there are not so many.
func (r *reader) rewind(number uint64, end uint64) {
	for r.next = end; 0 < number && number < r.next; {
		if r.next = r.plan.backward(r.next); r.next <= r.history.Oldest() {
			break
		}
		segment, err := r.history.Segment(r.next - 1)
		if err != nil {
			break
		}
		number = r.rewindIn(&segment, number)
		segment.Release()
	}
	if number > 0 {
		r.next = r.history.Oldest()
	}
}

// rewindIn moves next back through a segment and returns how many flows are
// still to be found.
func (r *reader) rewindIn(s *history.Segment, number uint64) uint64 {
	columns := s.Columns()
	for r.next > s.First && number > 0 {
		hi := int(r.next - s.First)
		lo := (hi - 1) / blockSize * blockSize
		found := r.plan.match(&block{s.First, columns}, lo, hi)
		r.next = s.First + uint64(lo)
		for i := len(found) - 1; i >= 0 && number > 0; i-- {
			if columns.Kind[found[i]] == history.KindLost {
				continue
			}
			if number--; number == 0 {
				r.next = s.First + uint64(found[i])
			}
		}
	}
	return number
}

// seek returns the sequence number of the first record at or after a time.
func seek(h *history.History, at int64) uint64 {
	oldest, next := h.Oldest(), h.Next()
	return oldest + uint64(sort.Search(int(next-oldest), func(i int) bool {
		s, err := h.Segment(oldest + uint64(i))
		if err != nil {
			// Overwritten meanwhile, so older than what is left.
			return false
		}
		defer s.Release()
		return s.Columns().Time[oldest+uint64(i)-s.First] >= at
	}))
}

// forever is the end of a request that follows.
const forever = uint64(math.MaxUint64)
