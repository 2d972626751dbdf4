package event

import (
	"sort"
	"sync"

	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/service"
)

// Size is how many events a Log holds.
const Size = 4096

// Event is what happened at a time.
type Event struct {
	// Time in nanoseconds since 1970, not before that of an earlier event.
	Time int64
	// What is a Started, endpoint.Change, service.Change or Policy, not to be
	// changed.
	What any
}

// Started is that the agent started.
type Started struct{}

// Policy is that a network policy came, changed or, if it is Gone, went.
type Policy struct {
	// UID tells it from another of the same name.
	Namespace, Name, UID string
	// Rules is how many it has or, if it is gone, had.
	Rules int
	// Revision is one more than that of the policy event before.
	Revision uint64
	Gone     bool
}

// Log is the newest events. Its methods are safe for concurrent use.
type Log struct {
	now func() int64

	mu sync.Mutex
	// ring has event n at n modulo Size; it grows up to that.
	ring []Event
	next uint64
	// revision is that of the last policy event.
	revision uint64
	// changed is closed by the next event; nil if nobody waits for it.
	changed chan struct{}
}

// NewLog returns a log with no events. Now is the clock, in nanoseconds since
// 1970.
func NewLog(now func() int64) *Log { return &Log{now: now} }

// Started adds that the agent started.
func (l *Log) Started() { l.add(Started{}) }

// Endpoint adds a change of an endpoint: it is a watcher of its table.
func (l *Log) Endpoint(c endpoint.Change) { l.add(c) }

// Service adds a change of a service: it is a watcher of its table.
func (l *Log) Service(c service.Change) { l.add(c) }

// Policy adds a change of a network policy, whose Revision the log sets.
func (l *Log) Policy(p Policy) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.revision++
	p.Revision = l.revision
	l.put(p)
}

func (l *Log) add(what any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.put(what)
}

func (l *Log) put(what any) {
	e := Event{l.now(), what}
	if l.next > 0 {
		e.Time = max(e.Time, l.at(l.next-1).Time)
	}
	if len(l.ring) < Size {
		l.ring = append(l.ring, e)
	} else {
		*l.at(l.next) = e
	}
	l.next++
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

func (l *Log) at(n uint64) *Event { return &l.ring[n%Size] }

func (l *Log) oldest() uint64 { return l.next - uint64(len(l.ring)) }

// Bounds returns the number of the oldest event that is held, and the one that
// the next event will have.
func (l *Log) Bounds() (oldest, next uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.oldest(), l.next
}

// Since returns the number of the first event at or after a time.
func (l *Log) Since(at int64) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	oldest := l.oldest()
	return oldest + uint64(sort.Search(len(l.ring), func(i int) bool { return l.at(oldest+uint64(i)).Time >= at }))
}

// Read copies to buf the events from number n on and below end, as many as there
// are room and events for. It returns how many, and the number at which to go
// on: more than that many further if some were overwritten.
func (l *Log) Read(n, end uint64, buf []Event) (read int, next uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n = max(n, l.oldest())
	for end = min(end, l.next); n < end && read < len(buf); n++ {
		buf[read] = *l.at(n)
		read++
	}
	return read, n
}

// Changed returns a channel that is closed by the next event. A reader calls it
// first, then reads, and waits only if there is nothing new.
func (l *Log) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return l.changed
}
