package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fovea-obs/fovea/hack/lab"
	"github.com/fovea-obs/fovea/hack/process"
)

// fixture is what all scripts share.
type fixture struct {
	*shop
	// program is the path of the stock command line, home an empty directory
	// for it.
	program, home string
	// timeFormats are those that the command line can print.
	timeFormats []value
	agents      map[string]*agent // by node
	relays      map[string]*agent // by what scripts call them, of no node
	keys        *keys             // of the far one
}

// agent is one that runs on a node.
type agent struct {
	*process.Agent
	node *lab.Node
	// file is the path of its endpoints file.
	file string
	log  *output
}

// tcpAddress is where the agent serves in the node's namespace.
const tcpAddress = ":4244"

// farServer is the name that clients know the far node's agent by.
const farServer = "node2.prod.hubble-grpc.cilium.io"

// newFixture starts the agents and has them see the shop's traffic.
func newFixture(t *testing.T) *fixture {
	t.Helper()
	dir := t.TempDir()
	f := &fixture{program: stockHubble(t), home: t.TempDir(), agents: map[string]*agent{}, relays: map[string]*agent{}}
	f.timeFormats = takers(stockHelps(t, f.program)[cmdObserve])["--time-format"].values
	f.shop = newShop(t)
	fovea := buildAgent(t, dir)
	f.start(t, fovea, dir, f.near, "--disable-server-tls")
	f.keys = newKeys(t, farServer)
	f.start(t, fovea, dir, f.far, append(f.keys.args(), "--cluster-name", "prod")...)
	_, err := f.agents[f.far.Name].logged(testContext(t), "Certificates read")
	check(t, err)
	near, far := "node1=unix://"+f.agents[f.near.Name].Socket, "prod/node2=unix://"+f.agents[f.far.Name].Socket
	f.startRelay(t, fovea, "relay", near, far)
	f.startRelay(t, fovea, "lonely", near, "node3=unix://"+filepath.Join(dir, "node3.sock"))
	f.traffic(t, f.agents)
	return f
}

// startRelay starts a relay over these nodes that ends in good order with the test.
func (f *fixture) startRelay(t *testing.T, program, name string, peers ...string) {
	t.Helper()
	r := &agent{log: newOutput()}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the %s:\n%s", name, r.log)
		}
	})
	var err error
	r.Agent, err = process.StartRelay(testContext(t), program, f.near.NS, t.TempDir(), peers, r.log)
	check(t, err)
	closeLater(t, r.Stop)
	f.relays[name] = r
}

// start starts an agent that ends in good order with the test.
func (f *fixture) start(t *testing.T, program, dir string, node *lab.Node, args ...string) {
	t.Helper()
	a := &agent{node: node, file: filepath.Join(dir, node.Name+".yaml"), log: newOutput()}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the agent of %s:\n%s", node.Name, a.log)
		}
	})
	var err error
	a.Agent, err = process.Start(testContext(t), process.Config{
		Program: program, Node: node, Dir: dir, Endpoints: f.endpoints(node), Log: a.log,
		Args: append([]string{"--listen-address", tcpAddress}, args...),
	})
	check(t, err)
	closeLater(t, a.Stop)
	_, err = a.logged(testContext(t), "Endpoints file applied")
	check(t, err)
	f.agents[node.Name] = a
}

// write puts other content in the place of the endpoints file.
func (a *agent) write(content []byte) error {
	next := a.file + ".next"
	if err := os.WriteFile(next, content, 0o600); err != nil {
		return err
	}
	return os.Rename(next, a.file)
}

// logged waits for the next line of the log that says so.
func (a *agent) logged(ctx context.Context, what string) (string, error) {
	for {
		line, err := a.log.await(ctx, 1, a.Done())
		if err != nil {
			return "", fmt.Errorf("wait for the agent to log %q: %w", what, err)
		}
		if strings.Contains(line, what) {
			return line, nil
		}
	}
}
