package lab

import (
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"net/netip"
	"slices"
)

// Pods get the numbers 2 to 254, from which their default addresses are made.
const (
	firstPod   = 2
	podNumbers = 253
)

// PodSpec says what pod to add. Only Name is required.
type PodSpec struct {
	Name      string
	Namespace string // the Kubernetes namespace, "default" if empty
	Labels    map[string]string

	// Interface names the host end of the pod's pair: veth-<Name> if empty,
	// with a hash for the name if that is longer than the kernel allows.
	Interface string
	// IPv4 and IPv6 are the pod's addresses: 10.1.<node>.<n> and
	// fd00:<node>::<n>, n starting with 2, if invalid. Other nodes reach
	// only addresses in the node's pod ranges.
	IPv4, IPv6 netip.Addr
	// MTU of both ends in bytes, 1500 if 0.
	MTU int
	// FromHost makes the pair in the node's namespace and then moves one end
	// into the pod, instead of making it in the pod's namespace with the host
	// end directly in the node's.
	FromHost bool
	// Layout is how the pair's ends and the routes between them are set up.
	Layout Layout
}

// complete checks the spec and fills in its defaults.
func (n *Node) complete(spec *PodSpec) error {
	if n.closed {
		return errClosed
	}
	if spec.Name == "" {
		return errors.New("no name")
	}
	if spec.Namespace == "" {
		spec.Namespace = "default"
	}
	if spec.Interface == "" {
		spec.Interface = interfaceName(spec.Name)
	}
	if spec.MTU == 0 {
		spec.MTU = 1500
	}
	if err := spec.Layout.check(); err != nil {
		return err
	}
	spec.Labels = maps.Clone(spec.Labels)
	for _, p := range n.pods {
		if p.Interface == spec.Interface {
			return fmt.Errorf("interface %s is taken", spec.Interface)
		}
	}
	return n.address(spec)
}

// address fills in the addresses of the spec.
func (n *Node) address(spec *PodSpec) error {
	if spec.IPv4.IsValid() && !spec.IPv4.Is4() || spec.IPv6.IsValid() && !spec.IPv6.Is6() {
		return errors.New("address of the wrong family")
	}
	if spec.IPv4.IsValid() && spec.IPv6.IsValid() {
		return nil
	}
	number, err := n.freeNumber()
	if err != nil {
		return err
	}
	n.lastPod = number
	a4, a6 := n.podAddrs(number)
	if !spec.IPv4.IsValid() {
		spec.IPv4 = a4
	}
	if !spec.IPv6.IsValid() {
		spec.IPv6 = a6
	}
	return nil
}

// freeNumber returns the number after the last one given out whose addresses
// no pod has. Addresses of deleted pods come up again as late as possible.
func (n *Node) freeNumber() (int, error) {
	for i := range podNumbers {
		number := firstPod + (n.lastPod-firstPod+1+i)%podNumbers
		a4, a6 := n.podAddrs(number)
		if !slices.ContainsFunc(n.pods, func(p *Pod) bool { return p.IPv4 == a4 || p.IPv6 == a6 }) {
			return number, nil
		}
	}
	return 0, errors.New("no addresses left")
}

// podAddrs are the default addresses that go with the number.
func (n *Node) podAddrs(number int) (netip.Addr, netip.Addr) {
	a := n.PodRange4.Addr().As4()
	a[3] = byte(number)
	return netip.AddrFrom4(a), netip.MustParseAddr(fmt.Sprintf("fd00:%d::%d", n.index, number))
}

// interfaceName is the default name of a host end, at most 15 bytes long.
func interfaceName(pod string) string {
	if len(pod) <= 10 {
		return "veth-" + pod
	}
	h := fnv.New32a()
	h.Write([]byte(pod))
	return fmt.Sprintf("veth-%08x", h.Sum32())
}
