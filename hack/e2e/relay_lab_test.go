package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"

	"github.com/fovea-obs/fovea/hack/lab"
	"github.com/fovea-obs/fovea/hack/pki"
	"github.com/fovea-obs/fovea/hack/process"
)

const (
	// beatPort is where pods send a datagram to each beatEvery, for the tests of faults:
	// what is told of it is how clients see that a node is told of.
	beatPort  = 7007
	beatEvery = 20 * time.Millisecond
	// agentPort is where agents serve.
	agentPort = 4244
)

// cluster is nodes whose agents serve over the network with TLS, and a relay in a pod of
// a node of its own, as in a cluster: what is between them can fail. On each of the
// nodes that are members a pod talks to another all the time.
type cluster struct {
	*network
	members []*member
	roster  *roster
	// at is the pod of the relay.
	at    *lab.Pod
	relay *process.Agent
	// authority signs the certificates of all.
	authority *pki.Authority
}

// member is a node with an agent.
type member struct {
	*lab.Node
	config process.Config
	files  identityFiles
	// agent is nil while there is none.
	agent *process.Agent
}

// newCluster starts a cluster of three members.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{network: newNetwork(t), roster: newRoster(t)}
	_, err := c.lab.AddNode("node3")
	check(t, err)
	c.authority, err = pki.NewAuthority("cluster")
	check(t, err)
	for _, n := range c.lab.Nodes() {
		c.addPod(t, n, lab.PodSpec{Name: "caller-" + n.Name})
		c.addPod(t, n, lab.PodSpec{Name: "called-" + n.Name})
		c.members = append(c.members, &member{Node: n})
	}
	edge, err := c.lab.AddNode("edge")
	check(t, err)
	c.at = c.addPod(t, edge, lab.PodSpec{Name: "relay"})
	started := make([]error, len(c.members))
	var wg sync.WaitGroup
	for i, m := range c.members {
		m.files = newIdentityFiles(t, c.authority)
		m.files.replace(t, c.authority, pki.Request{Names: []string{m.serverName()}})
		m.config = c.agentConfig(t, m.Node, "--listen-address", m.address(), "--history", "32MiB",
			"--tls-cert-file", m.files.cert, "--tls-key-file", m.files.key, "--tls-client-ca-files", m.files.authority)
		closeLater(t, m.stop)
		ctx := testContext(t)
		wg.Go(func() { started[i] = m.begin(ctx) })
	}
	wg.Wait()
	check(t, errors.Join(started...))
	for _, m := range c.members {
		pods := m.Pods()
		beat(t, pods[0], pods[1])
		c.roster.join(m.Name, m.address(), m.serverName())
	}
	c.startRelay(t)
	return c
}

func (c *cluster) startRelay(t *testing.T) {
	t.Helper()
	l := newLog()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the relay:\n%s", l)
		}
	})
	files := newIdentityFiles(t, c.authority)
	files.replace(t, c.authority, pki.Request{})
	// A process is in the network namespace of the thread that starts it.
	check(t, c.at.NS.Do(func() (err error) {
		c.relay, err = process.StartRelay(testContext(t), os.Getenv(programVariable), t.TempDir(), nil, l,
			"--peer-service", "unix://"+c.roster.socket, "--disable-client-tls=false",
			"--tls-hubble-client-cert-file", files.cert, "--tls-hubble-client-key-file", files.key,
			"--tls-hubble-server-ca-files", files.authority)
		return err
	}))
	closeLater(t, c.relay.Stop)
}

// bad is the member that fails, others those that do not.
func (c *cluster) bad() *member      { return c.members[len(c.members)-1] }
func (c *cluster) others() []*member { return c.members[:len(c.members)-1] }

// address is where the member's agent serves.
func (m *member) address() string { return netip.AddrPortFrom(m.IPv4, agentPort).String() }

// serverName is what the agent's certificate is for.
func (m *member) serverName() string { return m.Name + ".default.hubble-grpc.cilium.io" }

// begin starts the agent.
func (m *member) begin(ctx context.Context) error {
	a, err := process.Start(ctx, m.config)
	if err == nil {
		m.agent = a
	}
	return err
}

func (m *member) start(t *testing.T) {
	t.Helper()
	check(t, m.begin(testContext(t)))
}

// stop ends the agent in good order, if there is one.
func (m *member) stop() error {
	if m.agent == nil {
		return nil
	}
	a := m.agent
	m.agent = nil
	return a.Stop()
}

// kill ends the agent by SIGKILL.
func (m *member) kill(t *testing.T) {
	t.Helper()
	a := m.agent
	m.agent = nil
	check(t, a.Kill())
}

// freeze stops the agent's process in the midst of everything, until what is returned is
// called, or the test ends.
func (m *member) freeze(t *testing.T) (thaw func(*testing.T)) {
	t.Helper()
	pid := m.agent.PID()
	check(t, syscall.Kill(pid, syscall.SIGSTOP))
	thaw = func(t *testing.T) { check(t, syscall.Kill(pid, syscall.SIGCONT)) }
	t.Cleanup(func() { thaw(t) })
	return thaw
}

// part has all packets between a member and the relay lost on their way, in both
// directions and with no word to either, until what is returned is called.
func (c *cluster) part(t *testing.T, m *member) (heal func(*testing.T)) {
	t.Helper()
	here, err := c.at.AddDrop(lab.Drop{Source: netip.PrefixFrom(m.IPv4, 32), Hook: lab.Input})
	check(t, err)
	there, err := m.AddDrop(lab.Drop{Source: netip.PrefixFrom(c.at.IPv4, 32), Hook: lab.Input})
	check(t, err)
	return func(t *testing.T) {
		check(t, errors.Join(here.Remove(), there.Remove()))
	}
}

// cut has the connections between a member and the relay reset.
func (c *cluster) cut(t *testing.T, m *member) {
	t.Helper()
	r, err := m.AddDrop(lab.Drop{
		Source: netip.PrefixFrom(c.at.IPv4, 32), Protocol: lab.TCP, Port: agentPort, Hook: lab.Input, Action: lab.Reset,
	})
	check(t, err)
	// The relay has something to say all the time.
	for n := uint64(0); n == 0; {
		n, err = r.Packets()
		check(t, err)
	}
	check(t, r.Remove())
}

// beat sends datagrams from one pod to another until the test ends, each from another
// port: of each its first end is told, and its last.
func beat(t *testing.T, from, to *lab.Pod) {
	t.Helper()
	sink, err := lab.ServeUDPSink(to.NS, fmt.Sprintf(":%d", beatPort))
	check(t, err)
	closeLater(t, sink.Close)
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		tick := time.NewTicker(beatEvery)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				done <- nil
				return
			case <-tick.C:
			}
			if err := sendOne(from, netip.AddrPortFrom(to.IPv4, beatPort)); err != nil {
				done <- err
				return
			}
		}
	}()
	closeLater(t, func() error {
		close(stop)
		return <-done
	})
}

// sendOne sends a datagram from a port of its own.
func sendOne(from *lab.Pod, to netip.AddrPort) error {
	c, err := from.DialUDP(context.Background(), to)
	if err != nil {
		return err
	}
	_, err = c.Write([]byte("beat"))
	return errors.Join(err, c.Close())
}

// beats are the flows that tell of what beat sends.
func beats() []*flowpb.FlowFilter {
	return []*flowpb.FlowFilter{{Protocol: []string{"udp"}, DestinationPort: []string{fmt.Sprint(beatPort)}}}
}
