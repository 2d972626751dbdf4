package observer

import "context"

// gate lets as many at once look through the history as it has room for. If all
// streams could, ingest might have to wait for a processor, and the kernel would
// lose what it has no room for.
type gate chan struct{}

// enter waits for room, to be used for one chunk only, or until ctx ends.
func (g gate) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case g <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g gate) leave() { <-g }
