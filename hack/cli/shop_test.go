package cli

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/fovea-obs/fovea/hack/lab"
)

// Ports that are served, or not.
const (
	portClosed = 4
	portDNS    = 53
	portWeb    = 80
	portWorld  = 443
	portSCTP   = 3868
	portDB     = 5432
)

// clientPorts are where clients' ports begin, so that they are known from
// servers' by their first digit of five.
const clientPorts = 40000

// shop is a small cluster: a client, a web server behind a service and a
// database on another node, and a till in another namespace.
type shop struct {
	lab                   *lab.Lab
	near, far             *lab.Node
	client, web, till, db *lab.Pod
	service               netip.AddrPort
	world                 netip.Addr
}

func newShop(t *testing.T) *shop {
	t.Helper()
	l, err := lab.New()
	check(t, err)
	closeLater(t, l.Close)
	s := &shop{
		lab: l, service: netip.MustParseAddrPort("10.96.0.50:80"), world: netip.MustParseAddr("203.0.113.7"),
	}
	check(t, l.AddOutside(s.world))
	s.near, err = l.AddNode("node1")
	check(t, err)
	s.far, err = l.AddNode("node2")
	check(t, err)
	s.client = addPod(t, s.near, "shop", "client", nil)
	s.web = addPod(t, s.near, "shop", "web-5d8f-abcde", map[string]string{"tier": "front"})
	s.till = addPod(t, s.near, "pay", "till-7c9d-fghij", map[string]string{"tier": "front"})
	s.db = addPod(t, s.far, "shop", "db-0", map[string]string{"tier": "back"})
	_, err = s.near.AddService(lab.Service{
		Name: "web", VIP: s.service, Backends: []netip.AddrPort{netip.AddrPortFrom(s.web.IPv4, portWeb)},
	})
	check(t, err)
	_, err = s.near.AddDrop(lab.Drop{
		Source: host(s.client.IPv4), Destination: host(s.db.IPv4), Protocol: lab.TCP, Port: portDB,
	})
	check(t, err)
	return s
}

// host is the prefix of a single address.
func host(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// addPod adds a pod whose app is its name's first part.
func addPod(t *testing.T, node *lab.Node, namespace, name string, labels map[string]string) *lab.Pod {
	t.Helper()
	app, _, _ := strings.Cut(name, "-")
	all := map[string]string{"app": app}
	maps.Copy(all, labels)
	p, err := node.AddPod(lab.PodSpec{Name: name, Namespace: namespace, Interface: "veth-" + app, Labels: all})
	check(t, err)
	check(t, p.NS.Sysctl("net/ipv4/ip_local_port_range", fmt.Sprintf("%d %d", clientPorts, clientPorts+9999)))
	return p
}

// pods are all there are, by their apps.
func (s *shop) pods() map[string]*lab.Pod {
	all := map[string]*lab.Pod{}
	for _, p := range []*lab.Pod{s.client, s.web, s.till, s.db} {
		all[p.Labels["app"]] = p
	}
	return all
}

// endpoints is the endpoints file of the node's agent.
func (s *shop) endpoints(node *lab.Node) string {
	var b strings.Builder
	b.WriteString("nodes:\n")
	for _, n := range s.lab.Nodes() {
		fmt.Fprintf(&b, "  - {name: %s, addresses: [%s, %q]}\n", n.Name, n.IPv4, n.IPv6)
	}
	b.WriteString("endpoints:\n")
	pods := s.pods()
	for _, app := range slices.Sorted(maps.Keys(pods)) {
		b.WriteString(endpoint(app, pods[app], pods[app].Node == node))
	}
	fmt.Fprintf(&b, "services:\n  - {name: web, namespace: shop, address: %s}\n", s.service.Addr())
	fmt.Fprintf(&b, "names:\n  - {address: %s, names: [api.example.com, cdn.example.com]}\n", s.world)
	return b.String()
}

// endpoint is the pod's entry in an endpoints file.
func endpoint(app string, p *lab.Pod, local bool) string {
	var labels []string
	for _, k := range slices.Sorted(maps.Keys(p.Labels)) {
		labels = append(labels, k+": "+p.Labels[k])
	}
	kind := "Deployment"
	if app == "db" {
		kind = "StatefulSet"
	}
	iface := ""
	if local {
		iface = "    interface: " + p.Interface + "\n"
	}
	return fmt.Sprintf("  - pod: %s\n    namespace: %s\n%s    addresses: [%s, %q]\n"+
		"    labels: {%s}\n    workload: {kind: %s, name: %s}\n",
		p.Name, p.Namespace, iface, p.IPv4, p.IPv6, strings.Join(labels, ", "), kind, app)
}
