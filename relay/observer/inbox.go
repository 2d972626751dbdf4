package observer

import (
	"sync"

	"github.com/fovea-obs/fovea/relay/ask"
	"github.com/fovea-obs/fovea/relay/metrics"
)

// maxTold is how much of a source is held before it has to wait, in bytes.
const maxTold = 128 << 10

// few is how many items at most are put to those before them.
const few = 16

// told is what a source tells: items, or a change of its node's state, or both.
type told struct {
	batch ask.Batch
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

// inbox is where sources put what they tell, and wait while it holds too much of them.
// Much is taken at once where much is told.
type inbox struct {
	// filled has something if there is something to take.
	filled chan struct{}

	mu      sync.Mutex
	room    *sync.Cond
	sources []*source
	// over is how many sources hold more than maxTold.
	over   int
	closed bool
}

func (i *inbox) init() {
	i.filled = make(chan struct{}, 1)
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
	before := s.held
	for _, item := range t.batch.Items {
		s.held += item.Message.Len()
	}
	if before <= maxTold && s.held > maxTold {
		i.over++
	}
	if n := len(s.told); n > 0 && s.told[n-1].plain() && t.plain() && len(t.batch.Items) <= few {
		last := &s.told[n-1].batch
		last.Items = append(last.Items, t.batch.Items...)
		last.Mark = max(last.Mark, t.batch.Mark)
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
	for s.held > maxTold && !i.closed && !s.left {
		i.room.Wait()
	}
	return !i.closed && !s.left
}

// leave has nothing more taken of a source, and nobody wait for room for it.
func (i *inbox) leave(s *source) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if s.held > maxTold && !s.left {
		i.over--
	}
	s.told, s.held, s.left = nil, 0, true
	i.room.Broadcast()
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

// free has room for as much of a source as was taken of it, and returns whether one still
// waits for room.
func (i *inbox) free(s *source) (full bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if s.left {
		return i.over > 0
	}
	waits := s.held > maxTold
	s.held -= s.taken
	s.taken = 0
	if waits && s.held <= maxTold {
		i.over--
		i.room.Broadcast()
	}
	return i.over > 0
}

// isFull tells whether a source waits for room.
func (i *inbox) isFull() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.over > 0
}

// close has nobody wait any more.
func (i *inbox) close() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.closed = true
	i.room.Broadcast()
}
