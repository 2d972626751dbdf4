package observer

import (
	"context"
	"math"
	"sort"

	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/agent/observer/filter"
)

// reader goes through a history and finds what passes a plan. It holds a chunk
// only while it looks at it.
type reader struct {
	history *history.History
	plan    *filter.Plan
	gate    gate
	// next is where to go on, end where the request ends.
	next, end uint64
	// waiting returns the time of the oldest record that may still be told
	// otherwise: nothing is read from there on. It is nil if that does not matter.
	waiting func() int64
	// since and until are the first and the last time that are wanted. done
	// says that the last is over.
	since, until int64
	done         bool
	// lost is how many records were overwritten before they could be read and
	// lostAt a time after theirs and before that of the next record, 0 if there
	// is none yet.
	lost   uint64
	lostAt int64
}

// exhausted tells whether all has been read that the request asks for.
func (r *reader) exhausted() bool { return r.done || r.next >= r.end }

// pending tells whether there is something to read.
func (r *reader) pending() bool {
	return r.next < min(r.end, r.history.Next()) && r.settled()
}

// settled tells whether the next record will be told as it is now.
func (r *reader) settled() bool {
	if r.waiting == nil {
		return true
	}
	at, ok := timeOf(r.history, r.next)
	return !ok || at < r.waiting()
}

// read has take look at the next records that pass, all of one chunk. There must
// be something pending.
func (r *reader) read(ctx context.Context, take sink) error {
	if err := r.gate.enter(ctx); err != nil {
		return err
	}
	defer r.gate.leave()
	last := min(r.end, r.history.Next())
	if r.next = min(last, r.plan.Forward(r.next)); r.next < last {
		r.readChunk(last, take)
	} else {
		r.done = r.after(last - 1)
	}
	return nil
}

func (r *reader) readChunk(last uint64, take sink) {
	segment, err := r.history.Segment(r.next)
	if err != nil {
		r.skip()
		return
	}
	defer segment.Release()
	columns := segment.Columns()
	if r.lost > 0 && r.lostAt == 0 {
		r.lostAt = columns.Time[r.next-segment.First] - 1
	}
	stop := r.limit(&segment)
	if r.next >= stop {
		return
	}
	take.renew()
	stop = min(stop, r.next+uint64(r.plan.Step()))
	flows, lost := r.plan.Match(&segment, int(r.next-segment.First), int(stop-segment.First))
	for row := 0; ; row++ {
		if row = min(flows.Next(row), lost.Next(row)); row == history.ChunkSize {
			break
		}
		if !take.take(columns, row, segment.First+uint64(row)) {
			r.next = segment.First + uint64(row) + 1
			return
		}
	}
	r.next = stop
}

// sink takes records while their chunk is held.
type sink interface {
	// renew is called when a chunk was got hold of, before its records.
	renew()
	// take returns false if it is to be the last one for now.
	take(c *history.Columns, row int, sequence uint64) bool
}

// after tells whether a record that was passed over is of a time after the last
// one that is wanted.
func (r *reader) after(seq uint64) bool {
	segment, err := r.history.Segment(seq)
	if err != nil {
		return false
	}
	defer segment.Release()
	return segment.Columns().Time[seq-segment.First] > r.until
}

// skip goes on after what was overwritten.
func (r *reader) skip() {
	to := min(r.end, max(r.next, r.history.Oldest()))
	r.lost += r.plan.Asked(r.next, to)
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
	if r.waiting != nil {
		stop = min(stop, after(r.waiting()-1))
	}
	return stop
}

// rewind moves next back from end, to where the last number flows that pass
// begin, or to the oldest record if there are not so many.
func (r *reader) rewind(ctx context.Context, number uint64, end uint64) error {
	for r.next = end; 0 < number && number < r.next; {
		if r.next = r.plan.Backward(r.next); r.next <= r.history.Oldest() {
			break
		}
		if err := r.gate.enter(ctx); err != nil {
			return err
		}
		segment, err := r.history.Segment(r.next - 1)
		if err == nil {
			number = r.rewindIn(&segment, number)
			segment.Release()
		}
		r.gate.leave()
		if err != nil {
			break
		}
	}
	if number > 0 {
		r.next = r.history.Oldest()
	}
	return nil
}

// rewindIn moves next back in a segment and returns how many flows are
// still to be found.
func (r *reader) rewindIn(s *history.Segment, number uint64) uint64 {
	hi := int(r.next - s.First)
	lo := max(0, hi-r.plan.Step())
	flows, _ := r.plan.Match(s, lo, hi)
	found := uint64(flows.Count())
	if found < number {
		r.next = s.First + uint64(lo)
		return number - found
	}
	r.next = s.First + uint64(flows.Last(int(number)))
	return 0
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
