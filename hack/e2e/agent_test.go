package e2e

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/fovea-obs/fovea/hack/lab"
	"github.com/fovea-obs/fovea/hack/process"
)

// log keeps what an agent or a relay prints.
type log struct {
	mu      sync.Mutex
	text    strings.Builder
	changed chan struct{} // closed by the next Write
}

// logOf keeps what somebody prints, which is told if the test fails.
func logOf(t *testing.T, whose string) *log {
	l := &log{changed: make(chan struct{})}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of %s:\n%s", whose, l)
		}
	})
	return l
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.changed)
	l.changed = make(chan struct{})
	return l.text.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// count tells how many times the text was printed so far.
func (l *log) count(text string) int { return strings.Count(l.String(), text) }

// await waits until the text was printed so many times.
func (l *log) await(ctx context.Context, text string, times int) error {
	for {
		l.mu.Lock()
		n, changed := strings.Count(l.text.String(), text), l.changed
		l.mu.Unlock()
		if n >= times {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for %q in the log: %w", text, ctx.Err())
		}
	}
}

// agentConfig is for an agent of the node, with what its network holds.
func (n *network) agentConfig(t *testing.T, node *lab.Node, args ...string) process.Config {
	t.Helper()
	return process.Config{
		Program: os.Getenv(programVariable), Node: node, Dir: t.TempDir(), Endpoints: n.endpoints(node), Args: args,
		Log: logOf(t, "the agent of "+node.Name),
	}
}

// startAgent starts an agent that ends in good order with the test.
func startAgent(t *testing.T, c process.Config) *process.Agent {
	t.Helper()
	a, err := process.Start(testContext(t), c)
	check(t, err)
	closeLater(t, a.Stop)
	return a
}
