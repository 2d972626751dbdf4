package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"

	"github.com/fovea-obs/fovea/hack/lab"
	"github.com/fovea-obs/fovea/hack/lab/capture"
)

// Ports of the tests of a node's own traffic.
const (
	hostPort  = 9000  // of servers on the nodes themselves
	awayPort  = 443   // of the servers outside, which pods talk to by the node's address
	nodePort  = 30080 // of a service at the node's address
	vxlanPort = 8472
)

// TestNodeTraffic compares what is told of a node's own traffic with what was
// captured at its uplink. Traffic of pods passes there too, also with the node's
// address, and is not told a second time.
func TestNodeTraffic(t *testing.T) {
	t.Run("connections", func(t *testing.T) { testNodeTraffic(t, false) })
	t.Run("each packet", func(t *testing.T) { testNodeTraffic(t, false, "--aggregation", "none") })
	t.Run("with what carries others", func(t *testing.T) { testNodeTraffic(t, true, "--overlay") })
}

func testNodeTraffic(t *testing.T, overlay bool, args ...string) {
	s := newNodeShop(t)
	w := watchPods(t, s.near, false)
	w.ifaces = []string{"eth0"}
	check(t, w.restartOuter(t))
	j := s.newJudge(t, s.near)
	each := len(args) > 0 && args[0] == "--aggregation"
	w.only = func(k key) bool {
		near, port := k.dst, k.b
		if k.from {
			near, port = k.src, k.a
		}
		switch {
		case k.iface != j.uplink || near != s.near.IPv4 && near != s.near.IPv6:
			return false
		case k.proto == capture.ICMPv6 && housekeeping(k):
			return false
		case k.proto == capture.UDP && (k.a == vxlanPort || k.b == vxlanPort):
			return overlay
		}
		return port != nodePort && !s.masqueraded(k)
	}
	since := time.Now()
	c := s.agentConfig(t, s.near, args...)
	c.Program = os.Getenv(programVariable)
	a := startAgent(t, c)
	var mu sync.Mutex
	clients := map[string]int{}
	f := follow(t, a, since, func(f *flowpb.Flow) []string {
		k := keyOf(f)
		if k.iface != j.uplink {
			mu.Lock()
			defer mu.Unlock()
			if k.b == 80 && !k.from {
				clients[fmt.Sprintf("%s as %s", who(f.GetSource()), f.GetIP().GetSourceXlated())]++
			}
			return nil
		}
		if each && (k.a == nodePort || k.b == nodePort) {
			// Its first packet tells nothing yet of where it goes.
			if k.proto == capture.TCP && f.GetL4().GetTCP().GetFlags().GetACK() {
				return []string{k.String() + " is told of the node"}
			}
			return nil
		}
		if !w.only(k) {
			return []string{k.String() + " is told of the node"}
		}
		if each && k.proto == capture.UDP {
			// Nor of which way it goes.
			return nil
		}
		return j.flow(f)
	})
	w.begin(t)
	s.nodeTraffic(t)
	got := w.compare(t, f)
	if len(got) < 30 {
		t.Errorf("%d keys", len(got))
	}
	// Whoever talks to the service by the node's address reaches the pod with the
	// node's: what is told is who it was.
	want := map[string]bool{
		"reserved:remote-node as " + s.near.IPv4.String(): true,
		"reserved:world as " + s.near.IPv4.String():       true,
	}
	// They talk last, and not at the uplink.
	_, err := f.await(testContext(t), "the service's clients", func(*flowpb.Flow) bool {
		mu.Lock()
		defer mu.Unlock()
		return len(clients) >= len(want)
	})
	check(t, err)
	mu.Lock()
	defer mu.Unlock()
	for who := range clients {
		if !want[who] {
			t.Errorf("the service's pod was reached by %s", who)
		}
	}
	for who := range want {
		if clients[who] == 0 {
			t.Errorf("the service's pod was not reached by %s, but by %v", who, clients)
		}
	}
	t.Logf("%d flows, %d keys of the node, clients %v", f.flows, len(got), clients)
}

// masqueraded tells whether packets with a key, at the node's uplink, are a pod's.
func (s *shop) masqueraded(k key) bool {
	far, port := k.src, k.a
	if k.from {
		far, port = k.dst, k.b
	}
	if far != s.outside {
		return false
	}
	// Nodes ping others than pods do.
	return port == awayPort || k.proto == capture.ICMP
}

// newNodeShop returns a shop whose near node translates as those of Kubernetes do.
func newNodeShop(t *testing.T) *shop {
	t.Helper()
	s := newEmptyShop(t)
	s.addPods(t)
	for _, p := range []lab.Protocol{lab.TCP, lab.UDP} {
		name, to := "at-node", uint16(80)
		if p == lab.UDP {
			name, to = "at-node-udp", 53
		}
		_, err := s.near.AddService(lab.Service{
			Name: name, Protocol: p, VIP: netip.AddrPortFrom(s.near.IPv4, nodePort),
			Backends: []netip.AddrPort{netip.AddrPortFrom(s.web.IPv4, to)},
		})
		check(t, err)
	}
	_, err := s.near.Masquerade()
	check(t, err)
	return s
}

// restartOuter begins the outer capture anew, at other interfaces.
func (w *watch) restartOuter(t *testing.T) error {
	_, err := w.outer.Stop()
	w.outer = w.start(t)
	return err
}

// nodeTraffic makes traffic of the near node, and of others that passes it.
func (s *shop) nodeTraffic(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for ns, ports := range map[*lab.Namespace][]uint16{
		s.near.NS: {hostPort, vxlanPort}, s.far.NS: {hostPort, vxlanPort}, s.web.NS: {80, 53}, s.db.NS: {80},
		s.lab.Fabric(): {awayPort, hostPort},
	} {
		for _, port := range ports {
			e, err := lab.ServeEcho(ns, fmt.Sprintf(":%d", port))
			check(t, err)
			closeLater(t, e.Close)
			at := netip.AddrPortFrom(netip.IPv6Unspecified(), port)
			if ns == s.lab.Fabric() {
				// It answers from another address otherwise.
				at = netip.AddrPortFrom(s.outside, port)
			}
			u, err := lab.ServeUDPEcho(ns, at.String())
			check(t, err)
			closeLater(t, u.Close)
		}
	}
	nodes := []netip.Addr{s.near.IPv4, s.near.IPv6, s.far.IPv4, s.far.IPv6, s.outside}
	for _, proto := range []uint8{capture.TCP, capture.UDP} {
		for _, a := range nodes {
			s.serves(proto, netip.AddrPortFrom(a, hostPort), netip.AddrPortFrom(a, vxlanPort), netip.AddrPortFrom(a, closedPort))
		}
		s.podServes(s.db, proto, 80)
	}
	if err := s.talk(ctx); err != nil {
		t.Fatal(err)
	}
}

// talk has everyone talk to everyone.
func (s *shop) talk(ctx context.Context) error {
	var errs []error
	both := func(from *lab.Namespace, to netip.Addr, port uint16) {
		target := netip.AddrPortFrom(to, port)
		_, err := lab.TCPLoad{Target: target, Connections: 5, Bytes: 20_000, Concurrency: 2}.Run(ctx, from)
		errs = append(errs, err)
		_, err = lab.UDPLoad{Target: target, Count: 5, Bytes: 100}.Run(ctx, from)
		errs = append(errs, err)
	}
	ping := func(from *lab.Namespace, to netip.Addr, id uint16) {
		_, err := lab.Ping{Target: to, Count: 3, ID: id, Bytes: 56}.Run(ctx, from)
		errs = append(errs, err)
	}
	// Of the node itself.
	both(s.near.NS, s.far.IPv4, hostPort)
	both(s.near.NS, s.far.IPv6, hostPort)
	both(s.near.NS, s.db.IPv4, 80)
	both(s.near.NS, s.db.IPv6, 80)
	both(s.near.NS, s.outside, hostPort)
	both(s.far.NS, s.near.IPv4, hostPort)
	both(s.far.NS, s.near.IPv6, hostPort)
	both(s.db.NS, s.near.IPv4, hostPort)
	both(s.lab.Fabric(), s.near.IPv4, hostPort)
	ping(s.near.NS, s.far.IPv4, 11)
	ping(s.far.NS, s.near.IPv6, 12)
	for _, to := range []netip.Addr{s.near.IPv4, s.near.IPv6} {
		target := netip.AddrPortFrom(to, closedPort)
		if c, err := s.far.NS.Dial(ctx, "tcp", target.String()); !errors.Is(err, syscall.ECONNREFUSED) {
			return errors.Join(fmt.Errorf("dial %s: %w", target, err), closeConn(c))
		}
	}
	// Of others.
	both(s.client.NS, s.db.IPv4, 80)
	both(s.client.NS, s.db.IPv6, 80)
	both(s.client.NS, s.outside, awayPort)
	ping(s.client.NS, s.outside, 13)
	for _, from := range []*lab.Namespace{s.far.NS, s.lab.Fabric()} {
		_, err := lab.TCPLoad{Target: netip.AddrPortFrom(s.near.IPv4, nodePort), Connections: 5, Bytes: 1000}.Run(ctx, from)
		errs = append(errs, err)
		_, err = lab.UDPLoad{Target: netip.AddrPortFrom(s.near.IPv4, nodePort), Count: 5, Bytes: 100}.Run(ctx, from)
		errs = append(errs, err)
	}
	// As an overlay does.
	_, err := lab.UDPLoad{Target: netip.AddrPortFrom(s.far.IPv4, vxlanPort), Count: 5, Bytes: 100}.Run(ctx, s.near.NS)
	errs = append(errs, err)
	_, err = lab.UDPLoad{Target: netip.AddrPortFrom(s.near.IPv4, vxlanPort), Count: 5, Bytes: 100}.Run(ctx, s.far.NS)
	return errors.Join(append(errs, err)...)
}
