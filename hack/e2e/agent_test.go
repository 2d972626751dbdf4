package e2e

import (
	"bytes"
	"io"
	"os"
	"sync"
	"testing"

	"github.com/fovea-obs/fovea/hack/lab"
	"github.com/fovea-obs/fovea/hack/process"
)

// log keeps what an agent prints.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// agentConfig is for an agent of the node, with what its network holds.
func (n *network) agentConfig(t *testing.T, node *lab.Node, args ...string) process.Config {
	t.Helper()
	l := &log{}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the agent of %s:\n%s", node.Name, l)
		}
	})
	return process.Config{
		Program: os.Getenv(programVariable), Node: node, Dir: t.TempDir(), Endpoints: n.endpoints(node), Args: args,
		Log: io.MultiWriter(l),
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
