package observer

import (
	"bytes"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fovea-obs/fovea/internal/rpc"
	"github.com/fovea-obs/fovea/relay/metrics"
)

// startWait is how long a request that follows waits for the last flows that it asks
// for of the time before it, if a node does not tell how far it has come.
const startWait = 500 * time.Millisecond

// maxHeld is how much may be held back for a request, in bytes.
const maxHeld = 128 << 20

// window is which of all flows a request wants: each node tells so many as if it were
// alone.
type window struct {
	// last is how many of the newest are held back until it is known that they are,
	// first how many are let through; 0 is no limit.
	last, first uint64
	// begun is when a request that follows came: what is later is not held back. It
	// is 0 for others.
	begun int64
	late  <-chan time.Time
	// held is a ring once it is full, which begins at start.
	held  []held
	start int
	bytes int
	sent  uint64
}

// held is a message that is held back, of a node of a class.
type held struct {
	message []byte
	class   metrics.Class
}

func newWindow(req request) *window {
	w := &window{}
	switch n := req.GetNumber(); {
	case n == 0:
	case req.GetFollow() && req.GetSince() != nil:
	case req.GetFollow():
		w.last, w.begun, w.late = n, time.Now().UnixNano(), time.After(startWait)
	case req.GetFirst() || req.GetSince() != nil:
		w.first = n
	default:
		w.last = n
	}
	return w
}

// full tells whether all were sent that are wanted.
func (w *window) full() bool { return w.first > 0 && w.sent == w.first }

// hold tells whether a flow or an event is held back. Its message is gone then. It fails
// if that is too much.
func (w *window) hold(m *rpc.Piece, from metrics.Class) (bool, error) {
	if w.last == 0 {
		w.sent++
		return false, nil
	}
	// It would keep all that it came with.
	own := bytes.Clone(m.Bytes())
	m.Free()
	w.bytes += len(own)
	if uint64(len(w.held)) < w.last {
		w.held = append(w.held, held{own, from})
	} else {
		w.bytes -= len(w.held[w.start].message)
		w.held[w.start] = held{own, from}
		w.start = (w.start + 1) % len(w.held)
	}
	if w.bytes > maxHeld {
		return false, status.Errorf(codes.ResourceExhausted,
			"number: %d is too many: the newest flows of all nodes may have %d MiB together", w.last, maxHeld>>20)
	}
	return true, nil
}

// pass tells whether what is held is to be released, as all flows up to a time have
// been seen.
func (w *window) pass(to int64) bool { return w.begun != 0 && w.last > 0 && to >= w.begun }

// due is when it is to be released all the same.
func (w *window) due() <-chan time.Time { return w.late }

// release returns what was held back. Nothing is from then on.
func (w *window) release() (all []held) {
	all = append(all, w.held[w.start:]...)
	all = append(all, w.held[:w.start]...)
	w.held, w.start, w.last, w.late = nil, 0, 0, nil
	return all
}
