package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"github.com/vishvananda/netlink"
)

// bridgeName is the bridge in the fabric that connects the nodes.
const bridgeName = "br0"

var (
	fabric4 = netip.MustParsePrefix("172.31.0.1/24")
	fabric6 = netip.MustParsePrefix("fd31::1/64")
	// pods4 and pods6 hold the pod ranges of all nodes.
	pods4 = netip.MustParsePrefix("10.1.0.0/16")
	pods6 = netip.MustParsePrefix("fd00::/16")
)

// Lab is a network of nodes and pods. Its methods and those of its nodes and
// pods may be called from several goroutines at once.
type Lab struct {
	fabric *Namespace

	mu     sync.Mutex // guards the lab, its nodes and its pods
	closed bool
	nodes  []*Node
	last   int // index of the node added last
}

// New makes a lab without nodes. The caller must close it.
func New() (*Lab, error) {
	fabric, err := newFabric()
	if err != nil {
		return nil, fmt.Errorf("make fabric: %w", err)
	}
	return &Lab{fabric: fabric}, nil
}

// newBase makes a namespace with the settings all parts of a lab share.
func newBase(more []sysctl) (*Namespace, error) {
	ns, err := NewNamespace()
	if err != nil {
		return nil, err
	}
	if err := ns.sysctls(append(baseSysctls(), more...)); err != nil {
		return nil, errors.Join(err, ns.Close())
	}
	return ns, nil
}

func newFabric() (*Namespace, error) {
	ns, err := newBase(append(forwardSysctls(), bridgeSysctls()...))
	if err != nil {
		return nil, err
	}
	err = ns.withNetlink(addBridge)
	if err == nil {
		err = ns.waitAddr(bridgeName, fabric6.Addr())
	}
	if err != nil {
		return nil, errors.Join(err, ns.Close())
	}
	return ns, nil
}

func addBridge(h *netlink.Handle) error {
	snooping := false
	br := &netlink.Bridge{MulticastSnooping: &snooping}
	br.Name = bridgeName
	if err := h.LinkAdd(br); err != nil {
		return fmt.Errorf("add bridge: %w", err)
	}
	for _, p := range []netip.Prefix{fabric4, fabric6} {
		if err := addAddr(h, br, p, netlink.SCOPE_UNIVERSE); err != nil {
			return err
		}
	}
	if err := h.LinkSetUp(br); err != nil {
		return fmt.Errorf("set bridge up: %w", err)
	}
	return nil
}

// Fabric is the namespace with the bridge between the nodes, whose addresses
// 172.31.0.1 and fd31::1 are the nodes' default gateways. It belongs to the lab.
func (l *Lab) Fabric() *Namespace { return l.fabric }

// Nodes are the lab's nodes in the order they were added.
func (l *Lab) Nodes() []*Node {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.nodes)
}

// AddOutside gives the fabric an address outside the cluster, for example
// 203.0.113.7, which all pods and nodes can reach. Its servers and clients run
// in [Lab.Fabric].
func (l *Lab) AddOutside(addr netip.Addr) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return fmt.Errorf("add outside address: %w", errClosed)
	}
	err := l.fabric.withNetlink(func(h *netlink.Handle) error {
		lo, err := h.LinkByName("lo")
		if err != nil {
			return fmt.Errorf("find loopback interface: %w", err)
		}
		return addAddr(h, lo, host(addr), netlink.SCOPE_UNIVERSE)
	})
	if err == nil && addr.Is6() {
		err = l.fabric.waitAddr("lo", addr)
	}
	if err != nil {
		return fmt.Errorf("add outside address: %w", err)
	}
	return nil
}

// Close removes all pods, nodes and the fabric. It may be called more than
// once. Sockets and captures made in the lab belong to their owners, who close
// them before.
func (l *Lab) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	var errs []error
	for _, n := range slices.Clone(l.nodes) {
		errs = append(errs, n.close())
	}
	errs = append(errs, l.fabric.Close())
	return errors.Join(errs...)
}
