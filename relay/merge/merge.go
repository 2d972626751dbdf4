package merge

import (
	"math"
	"time"
)

// Item is what is put into an order: a message, which is not looked into.
type Item struct {
	// Time is in nanoseconds since 1970.
	Time    int64
	Message []byte
}

// Batch is what a source tells at once.
type Batch struct {
	Items []Item
	// Mark, if it is not 0, is a time up to which the source tells nothing more after
	// these items.
	Mark int64
	// End says that nothing at all comes after them.
	End bool
	// Release, if it is not nil, is called when the messages of all items are used: when
	// the next item is asked for after the last of them was out.
	Release func()
	// Away says that the source is not to be waited for until it tells more.
	Away bool
}

// Merge is for one goroutine.
type Merge struct {
	// release is that of the items that were out last.
	release func()
	// patience is how long an item waits for sources without marks; for ever if 0.
	patience time.Duration
	sources  []source
	heads    tree
	// bound is the least mark of the sources that are waited for and have no item: what
	// they tell next is later. It is what it says if known.
	bound int64
	known bool
}

type source struct {
	queue []queued
	// mark is a time after which the next item is.
	mark        int64
	ended, away bool
}

// queued is a batch's items that are left, which came at a time.
type queued struct {
	items   []Item
	since   time.Time
	release func()
}

// New returns a merge of no sources. One with patience has an item out after so long.
func New(patience time.Duration) *Merge { return &Merge{patience: patience} }

// Add adds a source, and returns its number. The sources have numbers from 0 on.
func (m *Merge) Add() int {
	m.sources = append(m.sources, source{mark: math.MinInt64})
	m.known = false
	return m.heads.grow()
}

// Put takes what a source tells at a moment. The items are the Merge's from then on.
// An end is for good.
func (m *Merge) Put(number int, b Batch, now time.Time) {
	s := &m.sources[number]
	if s.ended {
		return
	}
	empty := len(s.queue) == 0
	if len(b.Items) > 0 {
		s.queue = append(s.queue, queued{b.Items, now, b.Release})
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
func (m *Merge) expose(number int) {
	s := &m.sources[number]
	if len(s.queue) > 0 {
		// An item is not later than never.
		m.heads.set(number, min(s.queue[0].items[0].Time, never-1))
		return
	}
	m.heads.set(number, never)
	m.known = false
}

// least is the least mark of the sources that are waited for and have no item.
func (m *Merge) least() int64 {
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
func (m *Merge) longest() (since time.Time) {
	for i := range m.sources {
		if q := m.sources[i].queue; len(q) > 0 && (since.IsZero() || q[0].since.Before(since)) {
			since = q[0].since
		}
	}
	return since
}

// Next returns the next item, whose message is valid until the next call, and the source that it is of, if it is time for it. If
// it is not, wait is how long that takes if no source tells more, 0 if that alone
// changes nothing.
func (m *Merge) Next(now time.Time) (i Item, source int, wait time.Duration, ok bool) {
	if m.release != nil {
		m.release()
		m.release = nil
	}
	number, key := m.heads.least()
	if key == never {
		return Item{}, 0, 0, false
	}
	s := &m.sources[number]
	if m.least() < key {
		if m.patience == 0 {
			return Item{}, 0, 0, false
		}
		if left := m.patience - now.Sub(m.longest()); left > 0 {
			return Item{}, 0, left, false
		}
	}
	first := &s.queue[0]
	i = first.items[0]
	if first.items = first.items[1:]; len(first.items) == 0 {
		m.release = first.release
		s.queue = s.queue[1:]
	}
	m.expose(number)
	return i, number, 0, true
}

// Passed is a time up to which nothing more is to come of any source, unless one is
// late; the largest there is if all have ended and nothing is left.
func (m *Merge) Passed() int64 {
	_, key := m.heads.least()
	passed := m.least()
	if key != never {
		passed = min(passed, key-1)
	}
	return passed
}

// Ended tells whether nothing is left and no source is waited for.
func (m *Merge) Ended() bool {
	_, key := m.heads.least()
	return key == never && m.least() == math.MaxInt64
}

// Queued is how many batches of a source have items that are not out yet.
func (m *Merge) Queued(number int) int { return len(m.sources[number].queue) }
