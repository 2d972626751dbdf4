package observer

import (
	"sync"

	"github.com/fovea-obs/fovea/relay/ask"
	"github.com/fovea-obs/fovea/relay/metrics"
)

// maxTold is how much of a source is held before it may have to wait, in bytes.
const maxTold = 128 << 10

// few is how many items at most are put to those before them.
const few = 16

// told is what a source tells: items, or a change of its node's state, or both.
type told struct {
	batch ask.Batch
	// last is the time of the newest flow or event of the batch, 0 if there is none.
	last int64
	// class is how the node tells it.
	class metrics.Class
	state state
	// refused is what the node says of the request, if that is not valid.
	refused error
}

// plain tells whether there is nothing to it but items and a mark.
func (t *told) plain() bool {
	return t.state.is == 0 && t.refused == nil && !t.batch.End && !t.batch.Away
}

// amount is how much there is of something.
type amount struct{ bytes, items int }

// inbox is where sources put what they tell, and wait while it holds too much of them.
// Much is taken at once where much is told.
type inbox struct {
	// filled has something if there is something to take.
	filled chan struct{}
	// most is how many items are held of all sources before one that has more than
	// maxTold waits.
	most int

	mu      sync.Mutex
	room    *sync.Cond
	sources []*source
	// items are held, and waiting sources wait.
	items, waiting int
	closed         bool
}

func (i *inbox) init(most int) {
	i.most, i.filled = most, make(chan struct{}, 1)
	i.room = sync.NewCond(&i.mu)
}

// put takes what a source tells, and waits until there is room for more of it. It
// returns false if nobody takes any more.
func (i *inbox) put(s *source, t told) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if s.left {
		return false
	}
	for _, item := range t.batch.Items {
		s.held.bytes += item.Message.Len()
	}
	s.held.items += len(t.batch.Items)
	i.items += len(t.batch.Items)
	if n := len(s.told); n > 0 && s.told[n-1].plain() && t.plain() && len(t.batch.Items) <= few {
		before := &s.told[n-1]
		before.batch.Items = append(before.batch.Items, t.batch.Items...)
		before.batch.Mark = max(before.batch.Mark, t.batch.Mark)
		before.last = max(before.last, t.last)
	} else {
		s.told = append(s.told, t)
	}
	if !s.listed {
		s.listed = true
		i.sources = append(i.sources, s)
		select {
		case i.filled <- struct{}{}:
		default:
		}
	}
	for s.held.bytes > maxTold && i.items >= i.most && !i.closed && !s.left {
		i.waiting++
		i.room.Wait()
		i.waiting--
	}
	return !i.closed && !s.left
}

// leave takes no more of a source from now on, and returns what it has told until then.
func (i *inbox) leave(s *source) []told {
	i.mu.Lock()
	defer i.mu.Unlock()
	list := s.told
	i.items -= s.held.items
	s.told, s.held, s.left = nil, amount{}, true
	i.room.Broadcast()
	return list
}

// take returns the sources that have told something.
func (i *inbox) take() []*source {
	i.mu.Lock()
	defer i.mu.Unlock()
	list := i.sources
	i.sources = nil
	return list
}

// of returns what a source has told.
func (i *inbox) of(s *source) []told {
	i.mu.Lock()
	defer i.mu.Unlock()
	list := s.told
	s.told, s.listed = nil, false
	return list
}

// free has room for as much of a source as was taken of it.
func (i *inbox) free(s *source) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !s.left {
		s.held.bytes -= s.taken.bytes
		s.held.items -= s.taken.items
		i.items -= s.taken.items
	}
	s.taken = amount{}
	if i.waiting > 0 {
		i.room.Broadcast()
	}
}

// close has nobody wait any more.
func (i *inbox) close() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.closed = true
	i.room.Broadcast()
}
