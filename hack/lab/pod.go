package lab

import (
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
)

// Pods get the numbers 2 to 254, from which their default addresses are made.
const (
	firstPod   = 2
	podNumbers = 253
)

// podLinkName is a pod's interface.
const podLinkName = "eth0"

// The host end of every pod's pair has these addresses, which are the pod's
// default gateways.
var (
	gateway4 = netip.MustParseAddr("169.254.1.1")
	gateway6 = netip.MustParseAddr("fe80::1")
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
}

// Pod is a namespace with an interface eth0 and a host end in its node's
// namespace. The exported fields must not be changed.
type Pod struct {
	PodSpec             // with defaults filled in
	NS       *Namespace // belongs to the pod
	Node     *Node
	HostLink int // index of the host end in the node's namespace

	deleted bool
}

// AddPod adds a pod that can be used at once. It has a link to its node only,
// with routes for single addresses, like the pods of the CNI plugin "ptp".
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

func (p *Pod) setUp() error {
	add := p.addPair
	if p.FromHost {
		add = p.addPairFromHost
	}
	if err := add(); err != nil {
		return err
	}
	if err := p.Node.NS.withNetlink(p.setUpHost); err != nil {
		return err
	}
	if err := p.NS.withNetlink(p.setUpPod); err != nil {
		return err
	}
	if err := p.Node.NS.waitUp(p.Interface); err != nil {
		return err
	}
	return p.NS.waitUp(podLinkName)
}

// addPair makes the pair in the pod's namespace, with the host end put
// directly into the node's.
func (p *Pod) addPair() error {
	return p.NS.withNetlink(func(h *netlink.Handle) error {
		veth := &netlink.Veth{
			PeerName:      p.Interface,
			PeerNamespace: netlink.NsFd(p.Node.NS.FD()),
			PeerMTU:       uint32(p.MTU),
		}
		veth.Name, veth.MTU = podLinkName, p.MTU
		if err := h.LinkAdd(veth); err != nil {
			return fmt.Errorf("add pair %s: %w", p.Interface, err)
		}
		return nil
	})
}

// addPairFromHost makes the pair in the node's namespace and moves one end.
func (p *Pod) addPairFromHost() error {
	const passing = "lab-moving"
	err := p.Node.NS.withNetlink(func(h *netlink.Handle) error {
		veth := &netlink.Veth{PeerName: passing, PeerMTU: uint32(p.MTU)}
		veth.Name, veth.MTU = p.Interface, p.MTU
		if err := h.LinkAdd(veth); err != nil {
			return fmt.Errorf("add pair %s: %w", p.Interface, err)
		}
		peer, err := h.LinkByName(passing)
		if err != nil {
			return fmt.Errorf("find peer of %s: %w", p.Interface, err)
		}
		if err := h.LinkSetNsFd(peer, p.NS.FD()); err != nil {
			return fmt.Errorf("move peer of %s: %w", p.Interface, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return p.NS.withNetlink(func(h *netlink.Handle) error {
		link, err := h.LinkByName(passing)
		if err != nil {
			return fmt.Errorf("find peer of %s: %w", p.Interface, err)
		}
		if err := h.LinkSetName(link, podLinkName); err != nil {
			return fmt.Errorf("rename peer of %s: %w", p.Interface, err)
		}
		return nil
	})
}

// setUpHost configures the host end and the node's routes to the pod.
func (p *Pod) setUpHost(h *netlink.Handle) error {
	link, err := h.LinkByName(p.Interface)
	if err != nil {
		return fmt.Errorf("find interface %s: %w", p.Interface, err)
	}
	p.HostLink = link.Attrs().Index
	if err := h.LinkSetUp(link); err != nil {
		return fmt.Errorf("set interface %s up: %w", p.Interface, err)
	}
	if err := addAddr(h, link, host(gateway4), netlink.SCOPE_LINK); err != nil {
		return err
	}
	if err := addAddr(h, link, netip.PrefixFrom(gateway6, 64), netlink.SCOPE_LINK); err != nil {
		return err
	}
	// The source keeps the node from using the gateway's addresses as its own.
	err = addRoute(h, &netlink.Route{
		LinkIndex: p.HostLink, Dst: ipNet(host(p.IPv4)), Src: p.Node.IPv4.AsSlice(), Scope: netlink.SCOPE_LINK,
	})
	if err != nil {
		return err
	}
	return addRoute(h, &netlink.Route{
		LinkIndex: p.HostLink, Dst: ipNet(host(p.IPv6)), Src: p.Node.IPv6.AsSlice(),
	})
}

// setUpPod configures the pod's end.
func (p *Pod) setUpPod(h *netlink.Handle) error {
	link, err := h.LinkByName(podLinkName)
	if err != nil {
		return fmt.Errorf("find pod's interface: %w", err)
	}
	if err := h.LinkSetUp(link); err != nil {
		return fmt.Errorf("set pod's interface up: %w", err)
	}
	for _, a := range []netip.Addr{p.IPv4, p.IPv6} {
		if err := addAddr(h, link, host(a), netlink.SCOPE_UNIVERSE); err != nil {
			return err
		}
	}
	err = addRoute(h, &netlink.Route{
		LinkIndex: link.Attrs().Index, Dst: ipNet(host(gateway4)), Scope: netlink.SCOPE_LINK,
	})
	if err != nil {
		return err
	}
	for _, gw := range []netip.Addr{gateway4, gateway6} {
		if err := addRoute(h, defaultRoute(link, gw)); err != nil {
			return err
		}
	}
	return nil
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
		err = n.NS.withNetlink(func(h *netlink.Handle) error { return deleteLink(h, p.Interface) })
	}
	if err := errors.Join(err, p.NS.Close()); err != nil {
		return fmt.Errorf("delete pod %q: %w", p.Name, err)
	}
	return nil
}
