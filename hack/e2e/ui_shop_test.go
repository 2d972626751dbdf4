package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/fovea-obs/fovea/hack/lab"
	"github.com/fovea-obs/fovea/hack/process"
)

const (
	// rejectedPort is one of which a node's rule says no, silentPort one of which it says
	// nothing. As the pods are older than the agents, only ports below 1024 tell who sends
	// datagrams first.
	rejectedPort, silentPort = 5433, 514
	// uiName is by what the world calls the server outside.
	uiName = "api.example.com"
)

// uiShop is an application on two nodes whose agents a relay asks: a client, a web server
// with a pod on each node, and a database; a till in another namespace; and the world, of
// which one address has names.
type uiShop struct {
	*federation
	web2, till *lab.Pod
	// nameless is an address of the world.
	nameless netip.Addr
	// both is a service of the web server at another port, empty one that nobody is behind.
	both, empty netip.AddrPort
}

func newUIShop(t *testing.T) *uiShop {
	t.Helper()
	s := &uiShop{
		federation: &federation{shop: newShop(t), nodes: map[string]*process.Agent{}},
		nameless:   netip.MustParseAddr("198.51.100.9"),
		both:       netip.MustParseAddrPort("10.96.0.70:8080"), empty: netip.MustParseAddrPort("10.96.0.80:80"),
	}
	check(t, s.lab.AddOutside(s.nameless))
	s.web2 = s.addPod(t, s.far, lab.PodSpec{Name: "web-5d8f-fghij"})
	var err error
	s.till, err = s.near.AddPod(lab.PodSpec{Name: "till-7c9d-klmno", Namespace: "pay", Labels: map[string]string{"app": "till"}})
	check(t, err)
	s.addService(t, lab.Service{Name: "both", VIP: s.both, Backends: []netip.AddrPort{
		netip.AddrPortFrom(s.web.IPv4, 80), netip.AddrPortFrom(s.web2.IPv4, 80),
	}})
	s.services[s.empty] = "shop/empty"
	for _, d := range []lab.Drop{
		{Protocol: lab.TCP, Port: rejectedPort, Action: lab.Reset}, {Protocol: lab.UDP, Port: silentPort},
	} {
		_, err := s.near.AddDrop(d)
		check(t, err)
	}
	s.serve(t)
	e, err := lab.ServeEcho(s.web2.NS, ":80")
	check(t, err)
	closeLater(t, e.Close)
	for _, n := range s.lab.Nodes() {
		c := s.agentConfig(t, n)
		c.Endpoints += fmt.Sprintf("names:\n  - {address: %s, names: [cdn.example.com, %s]}\n", s.outside, uiName)
		s.nodes[n.Name] = startAgent(t, c)
	}
	s.relay = startRelay(t, s.lab.Fabric(), s.peers())
	return s
}

// call makes a connection from a pod.
func (s *uiShop) call(ctx context.Context, from *lab.Pod, to netip.Addr, port uint16) error {
	_, err := lab.TCPLoad{Target: netip.AddrPortFrom(to, port), Bytes: 100}.Run(ctx, from.NS)
	return err
}

// trade has everyone talk to whom they have to do with.
func (s *uiShop) trade(t *testing.T) {
	t.Helper()
	ctx := testContext(t)
	tcp := func(from *lab.Namespace, to netip.AddrPort) {
		t.Helper()
		_, err := lab.TCPLoad{Target: to, Connections: 2, Bytes: 2000}.Run(ctx, from)
		check(t, err)
	}
	tcp(s.client.NS, s.web4)
	tcp(s.client.NS, s.both)
	tcp(s.client.NS, s.db4)
	tcp(s.client.NS, netip.AddrPortFrom(s.outside, 443))
	tcp(s.client.NS, netip.AddrPortFrom(s.nameless, 443))
	tcp(s.web.NS, netip.AddrPortFrom(s.db.IPv6, 5432))
	tcp(s.web2.NS, netip.AddrPortFrom(s.db.IPv4, 5432))
	tcp(s.till.NS, s.web4)
	tcp(s.lab.Fabric(), netip.AddrPortFrom(s.client.IPv4, 80))
	tcp(s.near.NS, netip.AddrPortFrom(s.web.IPv4, 80))
	tcp(s.far.NS, netip.AddrPortFrom(s.web.IPv4, 80))
	_, err := lab.UDPLoad{Target: s.dns4, Count: 3, Bytes: 40}.Run(ctx, s.web.NS)
	check(t, err)
	_, err = lab.Ping{Target: s.web.IPv4, ID: 1}.Run(ctx, s.client.NS)
	check(t, err)
	_, err = lab.Ping{Target: s.db.IPv6, ID: 2}.Run(ctx, s.client.NS)
	check(t, err)
	_, err = lab.SCTPLoad{Target: netip.AddrPortFrom(s.db.IPv4, 3868), SourcePort: 40000}.Run(ctx, s.client.NS)
	check(t, err)
	s.failTrade(ctx, t)
}

// failTrade has the client call what does not answer.
func (s *uiShop) failTrade(ctx context.Context, t *testing.T) {
	t.Helper()
	for _, to := range []netip.AddrPort{
		netip.AddrPortFrom(s.db.IPv4, rejectedPort), netip.AddrPortFrom(s.web.IPv4, closedPort),
	} {
		if c, err := s.client.DialTCP(ctx, to); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("dial %s: %v", to, errors.Join(err, closeConn(c)))
		}
	}
	for _, to := range []netip.AddrPort{
		netip.AddrPortFrom(s.db.IPv4, silentPort), netip.AddrPortFrom(s.web.IPv6, closedPort), s.empty,
	} {
		c, err := s.client.DialUDP(ctx, to)
		check(t, err)
		_, err = c.Write([]byte("hello"))
		check(t, errors.Join(err, c.Close()))
	}
}

// Whose links a page shows, by their sources.
func ofAll(string) bool         { return true }
func ofPods(source string) bool { return source != "host" && source != "remote-node" }
func ofTill(source string) bool { return source == "pay/till" }

// uiLinks are those that the page draws of what trade does, in order, where their sources
// are shown. Only TCP and UDP have ports there, and it does not know SCTP.
func uiLinks(shown func(source string) bool) (links []string) {
	for _, l := range []string{
		"host > shop/web TCP 80 FORWARDED",
		"pay/till > shop/db TCP 80 FORWARDED",
		"pay/till > shop/web TCP 80 FORWARDED",
		"remote-node > shop/web TCP 80 FORWARDED",
		"shop/client > api.example.com TCP 443 FORWARDED",
		"shop/client > shop/db ICMPv6 0 FORWARDED",
		"shop/client > shop/db TCP 5432 FORWARDED",
		"shop/client > shop/db TCP 5433 DROPPED",
		"shop/client > shop/db TCP 5433 FORWARDED",
		"shop/client > shop/db UDP 514 DROPPED",
		"shop/client > shop/db UDP 514 FORWARDED",
		"shop/client > shop/db other 0 FORWARDED",
		"shop/client > shop/empty UDP 80 FORWARDED",
		"shop/client > shop/web ICMPv4 0 FORWARDED",
		"shop/client > shop/web TCP 4 DROPPED",
		"shop/client > shop/web TCP 4 FORWARDED",
		"shop/client > shop/web TCP 80 FORWARDED",
		// By the service's port at the client, and by its pod's at the pod.
		"shop/client > shop/web TCP 8080 FORWARDED",
		"shop/client > shop/web UDP 4 DROPPED",
		"shop/client > shop/web UDP 4 FORWARDED",
		"shop/client > world TCP 443 FORWARDED",
		"shop/web > shop/db TCP 5432 FORWARDED",
		"shop/web > shop/db UDP 53 FORWARDED",
		"world > shop/client TCP 80 FORWARDED",
	} {
		if source, _, _ := strings.Cut(l, " > "); shown(source) {
			links = append(links, l)
		}
	}
	return links
}
