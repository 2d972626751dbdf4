package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/fovea-obs/fovea/hack/cluster/machine"
	"github.com/fovea-obs/fovea/hack/lab"
)

// addMachine adds a machine to the network.
func (c *Cluster) addMachine(name string) (*lab.Node, *machine.Machine, error) {
	n, err := c.lab.AddNode(name)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range [][2]string{
		// Ports below are Kubernetes' own.
		{"net/ipv4/ip_local_port_range", "32768 60999"},
		{"net/ipv4/ip_forward", "1"},
		{"net/ipv6/conf/all/forwarding", "1"},
	} {
		if err := n.NS.Sysctl(s[0], s[1]); err != nil {
			return nil, nil, err
		}
	}
	dir := c.state.path(name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, nil, fmt.Errorf("make a directory for %s: %w", name, err)
	}
	m, err := machine.Start(machine.Config{Program: c.pid1, Node: n, Dir: dir})
	return n, m, err
}

// run starts one of Kubernetes' programs.
func (c *Cluster) run(m *machine.Machine, name string, args ...string) error {
	return m.Start(name, filepath.Join(c.programs, name), args...)
}

// untilEnded is a context that ends, with the reason, when one of the machines
// does. The function releases it.
func untilEnded(ctx context.Context, machines ...*machine.Machine) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	var watchers sync.WaitGroup
	for _, m := range machines {
		watchers.Go(func() {
			select {
			case <-m.Done():
				cancel(m.Err())
			case <-ctx.Done():
			}
		})
	}
	return ctx, func() { cancel(nil); watchers.Wait() }
}

// machines are all of the cluster.
func (c *Cluster) machines() []*machine.Machine {
	machines := []*machine.Machine{c.control.machine}
	for _, n := range c.nodes {
		machines = append(machines, n.machine)
	}
	return machines
}
