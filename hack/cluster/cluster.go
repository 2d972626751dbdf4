package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/fovea-obs/fovea/hack/lab"
	"github.com/fovea-obs/fovea/hack/stock"
)

// startTimeout is how long a cluster may take to start, without building.
const startTimeout = 4 * time.Minute

// Config says what cluster to start. Its zero value is a cluster of two nodes.
type Config struct {
	// Nodes is how many nodes there are, 2 if 0. They are called node1, node2...
	Nodes int
	// PodAddresses is how many addresses of each family a node's pods share: few
	// are given to the next pod soon. 0 is for all of the node's range.
	PodAddresses int
	// Proxy is how kube-proxy makes services, Iptables if empty.
	Proxy ProxyMode
	// Names are more names that the cluster's DNS knows.
	Names map[string]netip.Addr
	// Log is told what goes on, slog.Default if nil.
	Log *slog.Logger
}

// ProxyMode is how kube-proxy makes services.
type ProxyMode string

// What kube-proxy can do.
const (
	Iptables ProxyMode = "iptables"
	Nftables ProxyMode = "nftables"
)

// Cluster is a running cluster. Its methods may be called from several
// goroutines at once.
type Cluster struct {
	log      *slog.Logger
	config   Config
	state    *state
	programs string // directory of Kubernetes' programs
	pid1     string
	lab      *lab.Lab
	control  *control
	nodes    []*Node

	mu     sync.Mutex
	images int // number of the last image
	closed bool
}

// Start starts a cluster and waits until its nodes are ready and its DNS
// answers. The first call on a machine builds Kubernetes, see [stock.Kubernetes].
// The caller must Close it; after an error nothing is left.
func Start(ctx context.Context, config Config) (*Cluster, error) {
	if config.Nodes == 0 {
		config.Nodes = 2
	}
	if config.Proxy == "" {
		config.Proxy = Iptables
	}
	if config.Log == nil {
		config.Log = slog.Default()
	}
	c := &Cluster{log: config.Log, config: config}
	if err := c.start(ctx); err != nil {
		return nil, fmt.Errorf("start cluster: %w", errors.Join(err, c.Close()))
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context) (err error) {
	if c.programs, err = stock.Kubernetes(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if c.state, err = newState(os.TempDir()); err != nil {
		return err
	}
	c.pid1 = c.state.path("pid1")
	if err := Build(ctx, c.pid1, "hack/cluster/machine/pid1"); err != nil {
		return err
	}
	if c.lab, err = lab.New(); err != nil {
		return err
	}
	c.log.Info("Starting the control plane")
	if c.control, err = c.startControl(ctx); err != nil {
		return err
	}
	if err := c.addNodes(); err != nil {
		return err
	}
	ctx, stop := untilEnded(ctx, c.machines()...)
	defer stop()
	if err := c.startNodes(ctx); err != nil {
		return err
	}
	return c.startDNS(ctx)
}

// Lab is the network that the cluster is in, for more of it. It belongs to the
// cluster.
func (c *Cluster) Lab() *lab.Lab { return c.lab }

// Control is the control plane's machine in that network. Programs that are run there
// reach the API server by [Cluster.Kubeconfig].
func (c *Cluster) Control() *lab.Node { return c.control.node }

// Nodes are the nodes in the order of their names.
func (c *Cluster) Nodes() []*Node { return c.nodes }

// Node returns the node of that name, nil if there is none.
func (c *Cluster) Node(name string) *Node {
	for _, n := range c.nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// Dir is the cluster's directory, with the logs of its programs, until Close.
func (c *Cluster) Dir() string { return c.state.dir }

// Close ends the cluster and removes all of it. It may be called more than once.
func (c *Cluster) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	var errs []error
	for _, n := range c.nodes {
		errs = append(errs, n.machine.Close())
	}
	if c.control != nil && c.control.machine != nil {
		errs = append(errs, c.control.machine.Close())
	}
	if c.lab != nil {
		errs = append(errs, c.lab.Close())
	}
	if c.state != nil {
		errs = append(errs, c.state.remove())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close cluster: %w", err)
	}
	return nil
}
