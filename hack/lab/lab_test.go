package lab

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fovea-obs/fovea/hack/lab/capture"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(helperVariable); role != "" {
		os.Exit(helperMain(role))
	}
	goleak.VerifyTestMain(m)
}

// needRoot skips the test if namespaces can't be made.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to make network namespaces")
	}
}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// check ends the test if err is set.
func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// closeLater closes c at the end of the test.
func closeLater(t *testing.T, close func() error) {
	t.Helper()
	t.Cleanup(func() {
		if err := close(); err != nil {
			t.Error(err)
		}
	})
}

// testLab is a lab with a client's pod on one node and servers' on another.
type testLab struct {
	lab       *Lab
	near, far *Node
	client    *Pod   // on near
	neighbour *Pod   // on near
	servers   []*Pod // on far
}

func newTestLab(t *testing.T, opts ...NodeOption) *testLab {
	t.Helper()
	needRoot(t)
	l, err := New()
	check(t, err)
	closeLater(t, l.Close)
	near, err := l.AddNode("near", opts...)
	check(t, err)
	far, err := l.AddNode("far", opts...)
	check(t, err)
	v := &testLab{lab: l, near: near, far: far}
	v.client = addPod(t, near, PodSpec{Name: "client"})
	v.neighbour = addPod(t, near, PodSpec{Name: "neighbour", FromHost: true})
	for _, name := range []string{"one", "two", "three"} {
		v.servers = append(v.servers, addPod(t, far, PodSpec{Name: name}))
	}
	return v
}

func addPod(t *testing.T, n *Node, spec PodSpec) *Pod {
	t.Helper()
	p, err := n.AddPod(spec)
	check(t, err)
	return p
}

func serveEcho(t *testing.T, ns *Namespace, address string) *TCPServer {
	t.Helper()
	s, err := ServeEcho(ns, address)
	check(t, err)
	closeLater(t, s.Close)
	return s
}

func startCapture(t *testing.T, ns *Namespace, interfaces ...string) *capture.Capture {
	t.Helper()
	c, err := capture.Start(ns, interfaces...)
	check(t, err)
	t.Cleanup(func() { c.Stop() })
	return c
}

func stopCapture(t *testing.T, c *capture.Capture) capture.Result {
	t.Helper()
	r, err := c.Stop()
	check(t, err)
	return r
}

// forFamilies runs the test for IPv4 and IPv6.
func forFamilies(t *testing.T, f func(t *testing.T, ipv6 bool)) {
	t.Run("IPv4", func(t *testing.T) { f(t, false) })
	t.Run("IPv6", func(t *testing.T) { f(t, true) })
}

func TestPodsReachEachOther(t *testing.T) {
	v := newTestLab(t)
	outside := []netip.Addr{netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("2001:db8::7")}
	for _, a := range outside {
		check(t, v.lab.AddOutside(a))
	}
	for name, target := range map[string][]netip.Addr{
		"same node":  {v.neighbour.IPv4, v.neighbour.IPv6},
		"other node": {v.servers[0].IPv4, v.servers[0].IPv6},
		"own node":   {v.near.IPv4, v.near.IPv6},
		"far node":   {v.far.IPv4, v.far.IPv6},
		"outside":    outside,
	} {
		t.Run(name, func(t *testing.T) {
			for _, a := range target {
				for _, from := range []*Namespace{v.client.NS, v.near.NS} {
					_, err := Ping{Target: a}.Run(testContext(t), from)
					check(t, err)
				}
			}
		})
	}
}

func TestNodeUsesItsOwnAddressTowardsPods(t *testing.T) {
	v := newTestLab(t)
	l, err := v.client.ListenTCP(80)
	check(t, err)
	closeLater(t, l.Close)
	for ipv6, want := range map[bool]netip.Addr{false: v.near.IPv4, true: v.near.IPv6} {
		c, err := v.near.NS.Dial(testContext(t), "tcp", netip.AddrPortFrom(v.client.Addr(ipv6), 80).String())
		check(t, err)
		if got := netip.MustParseAddrPort(c.LocalAddr().String()).Addr(); got != want {
			t.Errorf("source %s, want %s", got, want)
		}
		check(t, c.Close())
	}
}

func TestDialAndListenInPods(t *testing.T) {
	v := newTestLab(t)
	forFamilies(t, func(t *testing.T, ipv6 bool) {
		l, err := v.servers[0].ListenTCP(0)
		check(t, err)
		defer l.Close()
		port := netip.MustParseAddrPort(l.Addr().String()).Port()
		c, err := v.client.DialTCP(testContext(t), netip.AddrPortFrom(v.servers[0].Addr(ipv6), port))
		check(t, err)
		defer c.Close()
		accepted, err := l.Accept()
		check(t, err)
		defer accepted.Close()
		got := netip.MustParseAddrPort(accepted.RemoteAddr().String()).Addr().Unmap()
		if got != v.client.Addr(ipv6) {
			t.Errorf("client %s, want %s", got, v.client.Addr(ipv6))
		}
	})
}

func TestDeletedPodIsGone(t *testing.T) {
	v := newTestLab(t)
	check(t, v.client.Delete())
	check(t, v.client.Delete())
	check(t, v.near.NS.Do(func() error {
		if _, err := net.InterfaceByName("veth-client"); err == nil {
			t.Error("host end is still there")
		}
		return nil
	}))
	// The name and the addresses are free again.
	again := addPod(t, v.near, PodSpec{Name: "client", IPv4: v.client.IPv4, IPv6: v.client.IPv6})
	_, err := Ping{Target: again.IPv4}.Run(testContext(t), v.servers[0].NS)
	check(t, err)
}

func TestClosedNodeIsGone(t *testing.T) {
	v := newTestLab(t)
	check(t, v.far.Close())
	check(t, v.far.Close())
	if n := len(v.lab.Nodes()); n != 1 {
		t.Errorf("%d nodes left, want 1", n)
	}
	if _, err := v.far.AddPod(PodSpec{Name: "late"}); !errors.Is(err, errClosed) {
		t.Errorf("pod on closed node: %v", err)
	}
	again, err := v.lab.AddNode("far")
	check(t, err)
	p := addPod(t, again, PodSpec{Name: "one"})
	_, err = Ping{Target: p.IPv6}.Run(testContext(t), v.client.NS)
	check(t, err)
}

func TestPodDefaults(t *testing.T) {
	v := newTestLab(t)
	p := addPod(t, v.near, PodSpec{Name: "a-name-that-is-too-long", MTU: 1400})
	if p.Namespace != "default" || len(p.Interface) > 15 || p.HostLink == 0 {
		t.Errorf("defaults: %+v", p.PodSpec)
	}
	if want := netip.MustParseAddr("10.1.1.4"); p.IPv4 != want {
		t.Errorf("IPv4 %s, want %s", p.IPv4, want)
	}
	if want := netip.MustParseAddr("fd00:1::4"); p.IPv6 != want {
		t.Errorf("IPv6 %s, want %s", p.IPv6, want)
	}
	for _, ns := range []*Namespace{p.NS, p.Node.NS} {
		check(t, ns.Do(func() error {
			name := podLinkName
			if ns == p.Node.NS {
				name = p.Interface
			}
			i, err := net.InterfaceByName(name)
			if err == nil && i.MTU != 1400 {
				t.Errorf("MTU of %s: %d", name, i.MTU)
			}
			return err
		}))
	}
}

func TestPodAddressesComeUpAgain(t *testing.T) {
	n := newNode(nil, "node", 3)
	var got []netip.Addr
	for range podNumbers + 1 {
		var spec PodSpec
		check(t, n.address(&spec))
		got = append(got, spec.IPv4)
	}
	equal(t, "first", got[0], netip.MustParseAddr("10.1.3.2"))
	equal(t, "last", got[podNumbers-1], netip.MustParseAddr("10.1.3.254"))
	equal(t, "again", got[podNumbers], netip.MustParseAddr("10.1.3.2"))

	for i := range podNumbers {
		a4, a6 := n.podAddrs(firstPod + i)
		n.pods = append(n.pods, &Pod{PodSpec: PodSpec{IPv4: a4, IPv6: a6}})
	}
	if err := n.address(new(PodSpec)); err == nil {
		t.Error("an address for one pod too many")
	}
	n.pods = append(n.pods[:9], n.pods[10:]...)
	var spec PodSpec
	check(t, n.address(&spec))
	equal(t, "freed", spec.IPv6, netip.MustParseAddr("fd00:3::11"))
}

func TestUseAfterClose(t *testing.T) {
	needRoot(t)
	l, err := New()
	check(t, err)
	check(t, l.Close())
	check(t, l.Close())
	if _, err := l.AddNode("late"); !errors.Is(err, errClosed) {
		t.Errorf("node in closed lab: %v", err)
	}
	if err := l.AddOutside(netip.MustParseAddr("203.0.113.7")); !errors.Is(err, errClosed) {
		t.Errorf("address in closed lab: %v", err)
	}
	if err := l.Fabric().Do(func() error { return nil }); err == nil {
		t.Error("entered closed namespace")
	}
}

// TestCloseLeavesNothing counts the process's files, and looks for the lab's
// interfaces in the namespace the test runs in.
func TestCloseLeavesNothing(t *testing.T) {
	build := func() {
		v := newTestLab(t)
		_, err := v.near.AddService(Service{
			Name: "web", VIP: netip.MustParseAddrPort("10.96.0.1:80"),
			Backends: []netip.AddrPort{netip.AddrPortFrom(v.servers[0].IPv4, 8080)},
		})
		check(t, err)
		check(t, v.lab.Close())
	}
	build() // what the process keeps after the first time is not the lab's
	before := openFiles(t)
	for range 3 {
		build()
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d open files, %d before", after, before)
	}
	all, err := net.Interfaces()
	check(t, err)
	for _, i := range all {
		if i.Name == "veth-client" || i.Name == bridgeName {
			t.Errorf("interface %s in the test's own namespace", i.Name)
		}
	}
	goleak.VerifyNone(t)
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	check(t, err)
	return len(entries)
}

func isRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
