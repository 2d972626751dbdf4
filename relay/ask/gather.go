package ask

import (
	"context"
	"sync"

	"github.com/fovea-obs/fovea/relay/merge"
)

// gatherBytes is how much is gathered at most, as much as agents put into a batch.
const gatherBytes = 60 << 10

// gather makes batches of single items: those that come while put takes its time go
// together. So a node that tells much costs little more than one that tells batches,
// and one that tells little is not waited for.
type gather struct {
	put func(merge.Batch) error

	mu    sync.Mutex
	items []merge.Item
	bytes int
	// more has one once there are items, room has one once they are taken.
	more, room chan struct{}
}

func newGather(put func(merge.Batch) error) *gather {
	return &gather{put: put, more: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// run puts what is there until ctx ends, or until there is nothing more once no more
// come, and returns the error of put.
func (g *gather) run(ctx context.Context) error {
	for {
		select {
		case _, open := <-g.more:
			if items := g.all(); len(items) > 0 {
				if err := g.put(merge.Batch{Items: items}); err != nil {
					return err
				}
			}
			if !open {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// all takes what is there.
func (g *gather) all() []merge.Item {
	g.mu.Lock()
	defer g.mu.Unlock()
	items := g.items
	// There are likely to be as many again.
	g.items, g.bytes = make([]merge.Item, 0, len(items)), 0
	signal(g.room)
	return items
}

// add adds an item, for which it waits until there is room, or ctx ends.
func (g *gather) add(ctx context.Context, i merge.Item) error {
	for {
		g.mu.Lock()
		if g.bytes < gatherBytes {
			g.items = append(g.items, i)
			g.bytes += len(i.Message)
			first := len(g.items) == 1
			g.mu.Unlock()
			if first {
				signal(g.more)
			}
			return nil
		}
		g.mu.Unlock()
		select {
		case <-g.room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// close says that no more come.
func (g *gather) close() { close(g.more) }

// signal has one be in the channel.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
