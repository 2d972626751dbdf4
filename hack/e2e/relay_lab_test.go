package e2e

import (
	"net/netip"
	"syscall"
	"testing"

	"github.com/fovea-obs/fovea/hack/lab"
	"github.com/fovea-obs/fovea/hack/pki"
	"github.com/fovea-obs/fovea/hack/process"
)

// agentPort is where agents serve.
const agentPort = 4244

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
	for _, m := range c.members {
		m.files = newIdentityFiles(t, c.authority)
		m.files.replace(t, c.authority, pki.Request{Names: []string{m.serverName()}})
		m.config = c.agentConfig(t, m.Node, "--listen-address", m.address(), "--history", "32MiB",
			"--tls-cert-file", m.files.cert, "--tls-key-file", m.files.key, "--tls-client-ca-files", m.files.authority)
		closeLater(t, m.stop)
		m.start(t)
		pods := m.Pods()
		beat(t, pods[0], pods[1])
		c.roster.join(m.Name, m.address(), m.serverName())
	}
	c.startRelay(t)
	return c
}

func (c *cluster) startRelay(t *testing.T) {
	t.Helper()
	files := newIdentityFiles(t, c.authority)
	files.replace(t, c.authority, pki.Request{})
	c.relay = startRelay(t, c.at.NS, nil, "--peer-service", c.roster.address, "--disable-client-tls=false",
		"--tls-hubble-client-cert-file", files.cert, "--tls-hubble-client-key-file", files.key,
		"--tls-hubble-server-ca-files", files.authority)
}

// bad is the member that fails, others those that do not.
func (c *cluster) bad() *member      { return c.members[len(c.members)-1] }
func (c *cluster) others() []*member { return c.members[:len(c.members)-1] }

// address is where the member's agent serves.
func (m *member) address() string { return netip.AddrPortFrom(m.IPv4, agentPort).String() }

// serverName is what the agent's certificate is for.
func (m *member) serverName() string { return m.Name + ".default.hubble-grpc.cilium.io" }

func (m *member) start(t *testing.T) {
	t.Helper()
	a, err := process.Start(testContext(t), m.config)
	check(t, err)
	m.agent = a
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
