package merge

import (
	"math"
	"time"
)

// Item is what is put into an order: a message, which is not looked into.
type Item[M any] struct {
	// Time is in nanoseconds since 1970.
	Time    int64
	Message M
}

// Batch is what a source tells at once.
type Batch[M any] struct {
	Items []Item[M]
	// Mark, if it is not 0, is a time up to which the source tells nothing more after
	// these items.
	Mark int64
	// End says that nothing at all comes after them.
	End bool
	// Away says that the source is not to be waited for until it tells more.
	Away bool
}

// Merge is for one goroutine.
type Merge[M any] struct {
	// patience is how long an item waits for sources without marks; for ever if 0.
	// While there are more than most items, the next does not wait.
	patience time.Duration
	most     int
	items    int
	sources  []source[M]
	// free are the numbers of sources that were removed and have nothing left.
	free  []int
	heads tree
	// bound is the least mark of the sources that are waited for and have no item: what
	// they tell next is later. It is what it says if known.
	bound int64
	known bool
}

type source[M any] struct {
	queue []queued[M]
	// mark is a time after which the next item is.
	mark        int64
	ended, away bool
	// removed says that the number is free once the queue is empty.
	removed bool
}

// queued is a batch's items that are left, which came at a time.
type queued[M any] struct {
	items []Item[M]
	since time.Time
}

// New returns a merge of no sources. One with patience has an item out after so long, and
// at once while there are more than most.
func New[M any](patience time.Duration, most int) *Merge[M] {
	return &Merge[M]{patience: patience, most: most}
}

// Add adds a source, and returns its number: the least from 0 on that is no other's, or
// one that was.
func (m *Merge[M]) Add() int {
	m.known = false
	if n := len(m.free); n > 0 {
		number := m.free[n-1]
		m.free = m.free[:n-1]
		m.sources[number] = source[M]{mark: math.MinInt64}
		return number
	}
	m.sources = append(m.sources, source[M]{mark: math.MinInt64})
	return m.heads.grow()
}

// Remove ends a source, whose number is another's once all that it has told is out.
// Nothing is to be put for it any more.
func (m *Merge[M]) Remove(number int) {
	s := &m.sources[number]
	s.ended, s.removed = true, true
	if len(s.queue) == 0 {
		m.expose(number)
	}
}

// Put takes what a source tells at a moment. The items are the Merge's from then on.
// An end is for good.
func (m *Merge[M]) Put(number int, b Batch[M], now time.Time) {
	s := &m.sources[number]
	if s.ended {
		return
	}
	empty := len(s.queue) == 0
	if m.items += len(b.Items); len(b.Items) > 0 {
		s.queue = append(s.queue, queued[M]{b.Items, now})
		s.mark = max(s.mark, b.Items[len(b.Items)-1].Time)
	}
	if b.Mark != 0 {
		s.mark = max(s.mark, b.Mark)
	}
	s.ended, s.away = b.End, b.Away
	if empty {
		m.expose(number)
		m.known = false
	}
}

// expose shows the first item that a source has, or that it has none.
func (m *Merge[M]) expose(number int) {
	s := &m.sources[number]
	if len(s.queue) > 0 {
		// An item is not later than never.
		m.heads.set(number, min(s.queue[0].items[0].Time, never-1))
		return
	}
	m.heads.set(number, never)
	m.known = false
	if s.removed {
		m.free = append(m.free, number)
	}
}

// least is the least mark of the sources that are waited for and have no item.
func (m *Merge[M]) least() int64 {
	if !m.known {
		m.bound, m.known = math.MaxInt64, true
		for i := range m.sources {
			if s := &m.sources[i]; !s.ended && !s.away && len(s.queue) == 0 {
				m.bound = min(m.bound, s.mark)
			}
		}
	}
	return m.bound
}

// longest is since when the item waits that has waited longest of those that are
// next in their sources. What is earlier has to be out before it.
func (m *Merge[M]) longest() (since time.Time) {
	for i := range m.sources {
		if q := m.sources[i].queue; len(q) > 0 && (since.IsZero() || q[0].since.Before(since)) {
			since = q[0].since
		}
	}
	return since
}

// Next returns the next item and the source that it is of, if it is time for it. If
// it is not, wait is how long that takes if no source tells more, 0 if that alone
// changes nothing.
func (m *Merge[M]) Next(now time.Time) (i Item[M], source int, wait time.Duration, ok bool) {
	number, key := m.heads.least()
	if key == never {
		return Item[M]{}, 0, 0, false
	}
	s := &m.sources[number]
	if m.least() < key {
		if m.patience == 0 {
			return Item[M]{}, 0, 0, false
		}
		if left := m.patience - now.Sub(m.longest()); left > 0 && m.items <= m.most {
			return Item[M]{}, 0, left, false
		}
	}
	first := &s.queue[0]
	i = first.items[0]
	m.items--
	if first.items = first.items[1:]; len(first.items) == 0 {
		s.queue = s.queue[1:]
	}
	m.expose(number)
	return i, number, 0, true
}

// Passed is a time up to which nothing more is to come of any source, unless one is
// late; the largest there is if all have ended and nothing is left.
func (m *Merge[M]) Passed() int64 {
	_, key := m.heads.least()
	passed := m.least()
	if key != never {
		passed = min(passed, key-1)
	}
	return passed
}

// Ended tells whether nothing is left and no source is waited for.
func (m *Merge[M]) Ended() bool {
	_, key := m.heads.least()
	return key == never && m.least() == math.MaxInt64
}

// Queued is how many batches of a source have items that are not out yet.
func (m *Merge[M]) Queued(number int) int { return len(m.sources[number].queue) }
