package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// uplinkName is a node's interface to the fabric.
const uplinkName = "eth0"

// maxNodes is what fits into the fabric's IPv4 network.
const maxNodes = 244

// Node is a namespace that stands for a machine of the cluster: it routes
// between its pods and the fabric. The exported fields must not be changed.
type Node struct {
	Name string
	NS   *Namespace // belongs to the node

	// IPv4 and IPv6 are the addresses of the uplink eth0.
	IPv4, IPv6 netip.Addr
	// PodRange4 and PodRange6 are where the pods' default addresses come from.
	PodRange4, PodRange6 netip.Prefix

	lab     *Lab
	index   int
	pods    []*Pod
	lastPod int // the number given out last
	closed  bool
}

// NodeOption changes how a node is made.
type NodeOption func(*nodeConfig)

type nodeConfig struct {
	conntrack bool
}

// WithConntrack makes the node track connections though it has no service.
func WithConntrack() NodeOption {
	return func(c *nodeConfig) { c.conntrack = true }
}

// AddNode adds a node that reaches all others and their pods. The i-th node
// has the addresses 172.31.0.(10+i) and fd31::(10+i), counted in decimal in
// both, and the pod ranges 10.1.i.0/24 and fd00:i::/64, i starting with 1.
func (l *Lab) AddNode(name string, opts ...NodeOption) (*Node, error) {
	var config nodeConfig
	for _, o := range opts {
		o(&config)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.checkNode(name); err != nil {
		return nil, fmt.Errorf("add node %q: %w", name, err)
	}
	l.last++
	n := newNode(l, name, l.last)
	ns, err := newBase(forwardSysctls())
	if err != nil {
		return nil, fmt.Errorf("add node %q: %w", name, err)
	}
	n.NS = ns
	l.nodes = append(l.nodes, n)
	if err := n.setUp(config); err != nil {
		return nil, errors.Join(fmt.Errorf("add node %q: %w", name, err), n.close())
	}
	return n, nil
}

func (l *Lab) checkNode(name string) error {
	if l.closed {
		return errClosed
	}
	if l.last == maxNodes {
		return errors.New("no addresses left")
	}
	if slices.ContainsFunc(l.nodes, func(n *Node) bool { return n.Name == name }) {
		return errors.New("name is taken")
	}
	return nil
}

func newNode(l *Lab, name string, index int) *Node {
	return &Node{
		Name:      name,
		IPv4:      netip.AddrFrom4([4]byte{172, 31, 0, byte(10 + index)}),
		IPv6:      netip.MustParseAddr(fmt.Sprintf("fd31::%d", 10+index)),
		PodRange4: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 1, byte(index), 0}), 24),
		PodRange6: netip.MustParsePrefix(fmt.Sprintf("fd00:%d::/64", index)),
		lab:       l,
		index:     index,
		lastPod:   firstPod - 1,
	}
}

func (n *Node) setUp(config nodeConfig) error {
	if err := n.addUplink(); err != nil {
		return err
	}
	if err := n.exchangeRoutes(); err != nil {
		return err
	}
	if config.conntrack {
		return n.enableConntrack()
	}
	return nil
}

// Pods are the node's pods in the order they were added.
func (n *Node) Pods() []*Pod {
	n.lab.mu.Lock()
	defer n.lab.mu.Unlock()
	return slices.Clone(n.pods)
}

// Close removes the node with its pods. It may be called more than once.
func (n *Node) Close() error {
	n.lab.mu.Lock()
	defer n.lab.mu.Unlock()
	return n.close()
}

// close needs the lab's lock.
func (n *Node) close() error {
	if n.closed {
		return nil
	}
	n.closed = true
	var errs []error
	for _, p := range slices.Clone(n.pods) {
		errs = append(errs, p.delete())
	}
	l := n.lab
	l.nodes = slices.DeleteFunc(l.nodes, func(o *Node) bool { return o == n })
	if !l.closed {
		errs = append(errs, n.withdraw())
	}
	errs = append(errs, n.NS.Close())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close node %q: %w", n.Name, err)
	}
	return nil
}
