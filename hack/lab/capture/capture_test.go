package capture

import (
	"context"
	"net/netip"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fovea-obs/fovea/hack/lab"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pair is two pods on a node.
type pair struct {
	node           *lab.Node
	client, server *lab.Pod
	ctx            context.Context
}

func newPair(t *testing.T) pair {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to make network namespaces")
	}
	l, err := lab.New()
	check(t, err)
	t.Cleanup(func() { check(t, l.Close()) })
	node, err := l.AddNode("node")
	check(t, err)
	p := pair{node: node}
	p.client, err = node.AddPod(lab.PodSpec{Name: "client"})
	check(t, err)
	p.server, err = node.AddPod(lab.PodSpec{Name: "server", FromHost: true})
	check(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	p.ctx = ctx
	return p
}

func (p pair) ping(t *testing.T, count int) {
	t.Helper()
	for _, target := range []netip.Addr{p.server.IPv4, p.server.IPv6} {
		_, err := lab.Ping{Target: target, Count: count, ID: 7}.Run(p.ctx, p.client.NS)
		check(t, err)
	}
}

// transfer moves data over TCP in both ways, with segments of all sizes.
func (p pair) transfer(t *testing.T) {
	t.Helper()
	echo, err := lab.ServeEcho(p.server.NS, ":0")
	check(t, err)
	defer echo.Close()
	sink, err := lab.ServeSink(p.server.NS, ":0")
	check(t, err)
	defer sink.Close()
	for _, a := range []netip.Addr{p.server.IPv4, p.server.IPv6} {
		_, err := lab.TCPLoad{
			Target: netip.AddrPortFrom(a, echo.Port()), Connections: 200, Concurrency: 8, Bytes: 3000,
		}.Run(p.ctx, p.client.NS)
		check(t, err)
		_, err = lab.TCPBulk{Target: netip.AddrPortFrom(a, sink.Port()), Bytes: 10 << 20}.Run(p.ctx, p.client.NS)
		check(t, err)
	}
}

// counters are the interface's own counts by direction.
func (p pair) counters(t *testing.T, index int) map[Direction]Count {
	t.Helper()
	h, err := p.node.NS.Netlink()
	check(t, err)
	defer h.Close()
	link, err := h.LinkByIndex(index)
	check(t, err)
	s := link.Attrs().Statistics
	return map[Direction]Count{
		In:  {Packets: s.RxPackets, Bytes: s.RxBytes},
		Out: {Packets: s.TxPackets, Bytes: s.TxBytes},
	}
}

// TestCaptureAgreesWithInterfaceCounters captures from before the interfaces
// are added, so that both count from zero.
func TestCaptureAgreesWithInterfaceCounters(t *testing.T) {
	p := newPair(t)
	c, err := Start(p.node.NS)
	check(t, err)
	p.client, err = p.node.AddPod(lab.PodSpec{Name: "client2"})
	check(t, err)
	p.server, err = p.node.AddPod(lab.PodSpec{Name: "server2", FromHost: true})
	check(t, err)
	p.transfer(t)
	p.ping(t, 10)
	r, err := c.Stop()
	check(t, err)
	for _, pod := range []*lab.Pod{p.client, p.server} {
		for d, want := range p.counters(t, pod.HostLink) {
			got := r.Sum(func(k Key) bool { return k.Interface == pod.HostLink && k.Direction == d })
			if got.Packets != want.Packets || got.Bytes != want.Bytes {
				t.Errorf("%s %s: captured %d packets, %d bytes, interface counted %d, %d",
					pod.Name, d, got.Packets, got.Bytes, want.Packets, want.Bytes)
			}
			if got.Malformed != 0 || got.RSTs != 0 {
				t.Errorf("%s %s: %d malformed packets, %d resets", pod.Name, d, got.Malformed, got.RSTs)
			}
		}
	}
}

func TestOnlyNamedInterfaces(t *testing.T) {
	p := newPair(t)
	c, err := Start(p.node.NS, p.client.Interface)
	check(t, err)
	p.ping(t, 1)
	r, err := c.Stop()
	check(t, err)
	if n := r.Sum(nil).Packets; n == 0 {
		t.Error("nothing captured")
	}
	for k := range r.Flows {
		if k.Interface != p.client.HostLink {
			t.Errorf("captured on interface %d: %+v", k.Interface, k)
		}
	}
	if _, err := Start(p.node.NS, "missing"); err == nil {
		t.Error("capture on an interface that is not there")
	}
}

func TestInterfaceAddedLater(t *testing.T) {
	p := newPair(t)
	c, err := Start(p.node.NS)
	check(t, err)
	late, err := p.node.AddPod(lab.PodSpec{Name: "late"})
	check(t, err)
	_, err = lab.Ping{Target: late.IPv4, ID: 9}.Run(p.ctx, p.client.NS)
	check(t, err)
	r, err := c.Stop()
	check(t, err)
	index := r.Index(late.Interface)
	if index != late.HostLink {
		t.Errorf("index %d, want %d", index, late.HostLink)
	}
	if n := r.Sum(func(k Key) bool { return k.Interface == index && k.EchoID == 9 }).Packets; n != 2 {
		t.Errorf("%d packets, want 2", n)
	}
}

func TestKeepPackets(t *testing.T) {
	p := newPair(t)
	c, err := Config{Interfaces: []string{p.client.Interface}, KeepPackets: true, SnapLen: 64}.Start(p.node.NS)
	check(t, err)
	start := time.Now()
	_, err = lab.Ping{Target: p.server.IPv4, Count: 3, ID: 7, Bytes: 500}.Run(p.ctx, p.client.NS)
	check(t, err)
	r, err := c.Stop()
	check(t, err)
	var directions []Direction
	last := start.Add(-time.Second)
	for _, packet := range r.Packets {
		if packet.Key.EchoID != 7 {
			continue
		}
		directions = append(directions, packet.Key.Direction)
		if packet.Length != 14+20+8+500 || len(packet.Data) != 64 {
			t.Errorf("%d bytes of %d", len(packet.Data), packet.Length)
		}
		if packet.Time.Before(last) || packet.Time.After(time.Now()) {
			t.Errorf("seen at %s after %s", packet.Time, last)
		}
		last = packet.Time
	}
	if len(directions) != 6 || directions[0] != In || directions[1] != Out {
		t.Errorf("directions %v", directions)
	}
}

func TestStopAgainReturnsTheSame(t *testing.T) {
	p := newPair(t)
	c, err := Start(p.node.NS)
	check(t, err)
	p.ping(t, 1)
	first, err := c.Stop()
	check(t, err)
	second, err := c.Stop()
	check(t, err)
	if first.Sum(nil) != second.Sum(nil) {
		t.Errorf("first %+v, then %+v", first.Sum(nil), second.Sum(nil))
	}
}

// TestLossIsAnError fills the ring while nobody reads it.
func TestLossIsAnError(t *testing.T) {
	p := newPair(t)
	sink, err := lab.ServeUDPSink(p.server.NS, ":9")
	check(t, err)
	defer sink.Close()
	c := newCapture(p.node.NS, Config{RingBytes: 2 * blockSize})
	check(t, c.open())
	_, err = lab.UDPFlood{
		Target: netip.AddrPortFrom(p.server.IPv4, 9), Packets: 20_000, Bytes: 100,
	}.Run(p.ctx, p.client.NS)
	check(t, err)
	go c.read()
	if r, err := c.Stop(); err == nil {
		t.Errorf("no error, %+v", r.Sum(nil))
	}
}
