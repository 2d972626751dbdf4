package e2e

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/fovea-obs/fovea/hack/lab"
)

// network is a lab, and what is true of it.
type network struct {
	lab       *lab.Lab
	near, far *lab.Node

	mu       sync.Mutex
	services map[netip.AddrPort]string // namespace/name
	backends map[netip.AddrPort][]netip.AddrPort
	// servers are the sockets that others talk to first.
	servers map[server]bool
}

// server is a socket that others talk to first.
type server struct {
	proto uint8
	at    netip.AddrPort
}

// newNetwork makes a lab with two nodes, node1 (near) and node2 (far).
func newNetwork(t *testing.T, opts ...lab.NodeOption) *network {
	t.Helper()
	needRoot(t)
	l, err := lab.New()
	check(t, err)
	closeLater(t, l.Close)
	n := &network{lab: l, services: map[netip.AddrPort]string{}, backends: map[netip.AddrPort][]netip.AddrPort{}, servers: map[server]bool{}}
	n.near, err = l.AddNode("node1", opts...)
	check(t, err)
	n.far, err = l.AddNode("node2", opts...)
	check(t, err)
	return n
}

// addPod adds a pod of the namespace shop. Its app is the name's first part.
func (n *network) addPod(t *testing.T, node *lab.Node, spec lab.PodSpec) *lab.Pod {
	t.Helper()
	app, _, _ := strings.Cut(spec.Name, "-")
	spec.Namespace, spec.Labels = "shop", map[string]string{"app": app}
	p, err := node.AddPod(spec)
	check(t, err)
	return p
}

// addService adds a service of the namespace shop to the near node.
func (n *network) addService(t *testing.T, s lab.Service) {
	t.Helper()
	_, err := n.near.AddService(s)
	check(t, err)
	n.services[s.VIP], n.backends[s.VIP] = "shop/"+s.Name, s.Backends
	if s.Protocol == 0 {
		s.Protocol = lab.TCP
	}
	n.serves(uint8(s.Protocol), s.VIP)
}

// serves notes who answers at an address.
func (n *network) serves(proto uint8, at ...netip.AddrPort) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range at {
		n.servers[server{proto, a}] = true
	}
}

// isServer tells whether others talk first to the socket.
func (n *network) isServer(proto uint8, addr netip.Addr, port uint16) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.servers[server{proto, netip.AddrPortFrom(addr, port)}]
}

// podServes notes that the pod answers at a port of both its addresses.
func (n *network) podServes(p *lab.Pod, proto uint8, port uint16) {
	n.serves(proto, netip.AddrPortFrom(p.IPv4, port), netip.AddrPortFrom(p.IPv6, port))
}

// endpoints is the endpoints file of the node's agent.
func (n *network) endpoints(node *lab.Node) string {
	var b strings.Builder
	b.WriteString("nodes:\n")
	for _, o := range n.lab.Nodes() {
		fmt.Fprintf(&b, "  - {name: %s, addresses: [%s, %q]}\n", o.Name, o.IPv4, o.IPv6)
	}
	b.WriteString("endpoints:\n")
	for _, o := range n.lab.Nodes() {
		for _, p := range o.Pods() {
			b.WriteString(endpointLine(p, o == node))
		}
	}
	b.WriteString("services:\n")
	for vip, name := range n.services {
		namespace, name, _ := strings.Cut(name, "/")
		fmt.Fprintf(&b, "  - {name: %s, namespace: %s, address: %q, port: %d}\n", name, namespace, vip.Addr(), vip.Port())
	}
	return b.String()
}

// endpointLine is the pod's entry in an endpoints file.
func endpointLine(p *lab.Pod, local bool) string {
	iface := ""
	if local {
		iface = "interface: " + p.Interface + ", "
	}
	app := p.Labels["app"]
	return fmt.Sprintf("  - {%saddresses: [%s, %q], namespace: %s, pod: %s, labels: {app: %s}, workload: {kind: Deployment, name: %s}}\n",
		iface, p.IPv4, p.IPv6, p.Namespace, p.Name, app, app)
}
