package cli

import (
	"bytes"
	"context"
	"errors"
	"sync"
)

// errEnded is that a process ended while something was awaited of it.
var errEnded = errors.New("the process ended")

// output is what a process printed. It may be used by several goroutines.
type output struct {
	mu    sync.Mutex
	text  bytes.Buffer
	taken int           // how much of it was
	grown chan struct{} // closed when there is more
}

func newOutput() *output { return &output{grown: make(chan struct{})} }

// Write adds to the text.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.grown)
	o.grown = make(chan struct{})
	return o.text.Write(p)
}

// String returns all of the text.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// rest returns what was not taken.
func (o *output) rest() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text.Bytes()[o.taken:])
}

// take takes so many lines, or says what will tell of more.
func (o *output) take(lines int) (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	rest, end := o.text.Bytes()[o.taken:], 0
	for range lines {
		i := bytes.IndexByte(rest[end:], '\n')
		if i < 0 {
			return "", o.grown
		}
		end += i + 1
	}
	o.taken += end
	return string(rest[:end]), nil
}

// await takes so many lines once they are there. It fails if ctx or the process
// ends before.
func (o *output) await(ctx context.Context, lines int, ended <-chan struct{}) (string, error) {
	for {
		text, grown := o.take(lines)
		if grown == nil {
			return text, nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case <-ended:
			// All that it printed is there.
			if text, grown = o.take(lines); grown != nil {
				return "", errEnded
			}
			return text, nil
		}
	}
}
