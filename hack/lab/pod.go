package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
)

// podLinkName is a pod's interface.
const podLinkName = "eth0"

// The default gateways of pods with single addresses.
var (
	gateway4 = netip.MustParseAddr("169.254.1.1")
	gateway6 = netip.MustParseAddr("fe80::1")
)

// Pod is a namespace with an interface eth0 and a host end in its node's
// namespace. The exported fields must not be changed.
type Pod struct {
	PodSpec             // with defaults filled in
	NS       *Namespace // belongs to the pod
	Node     *Node
	HostLink int // index of the host end in the node's namespace

	hostMAC net.HardwareAddr
	deleted bool
}

// AddPod adds a pod that can be used at once. It has a link to its node only.
func (n *Node) AddPod(spec PodSpec) (*Pod, error) {
	n.lab.mu.Lock()
	defer n.lab.mu.Unlock()
	if err := n.complete(&spec); err != nil {
		return nil, fmt.Errorf("add pod %q: %w", spec.Name, err)
	}
	ns, err := newBase(nil)
	if err != nil {
		return nil, fmt.Errorf("add pod %q: %w", spec.Name, err)
	}
	p := &Pod{PodSpec: spec, NS: ns, Node: n}
	n.pods = append(n.pods, p)
	if err := p.setUp(); err != nil {
		return nil, errors.Join(fmt.Errorf("add pod %q: %w", spec.Name, err), p.delete())
	}
	return p, nil
}

// Delete removes the pod's pair and gives up its namespace. It may be called
// more than once.
func (p *Pod) Delete() error {
	p.Node.lab.mu.Lock()
	defer p.Node.lab.mu.Unlock()
	return p.delete()
}

// delete needs the lab's lock.
func (p *Pod) delete() error {
	if p.deleted {
		return nil
	}
	p.deleted = true
	n := p.Node
	n.pods = slices.DeleteFunc(n.pods, func(o *Pod) bool { return o == p })
	var err error
	if !n.lab.closed { // else the pair ends with its namespaces
		err = n.NS.withNetlink(func(h *netlink.Handle) error {
			return errors.Join(p.deleteRules(h), deleteLink(h, p.Interface))
		})
	}
	if err := errors.Join(err, p.NS.Close()); err != nil {
		return fmt.Errorf("delete pod %q: %w", p.Name, err)
	}
	return nil
}
