package e2e

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/fovea-obs/fovea/hack/lab"
	"github.com/fovea-obs/fovea/hack/lab/capture"
)

// TestTruthBurst has 5,000 short connections in a second, or as fast as the
// machine makes them, between two pods of a node: each is seen at both ends, to
// the last byte.
func TestTruthBurst(t *testing.T) {
	const connections = 5000
	s := newShopWithoutServices(t)
	e, err := lab.ServeEcho(s.web.NS, ":80")
	check(t, err)
	closeLater(t, e.Close)
	s.podServes(s.web, capture.TCP, 80)
	// Neighbours are resolved before, as in a cluster that is not new.
	load := lab.TCPLoad{Target: netip.AddrPortFrom(s.web.IPv4, 80), Bytes: 100}
	_, err = load.Run(testContext(t), s.client.NS)
	check(t, err)

	w := watchPods(t, s.near, false)
	since := time.Now()
	a := startAgent(t, s.agentConfig(t, s.near, "--log-level", "debug"))
	f := follow(t, a, since, s.newJudge(t, s.near).flow)
	w.begin(t)
	load.Connections, load.Concurrency, load.Rate = connections, 64, connections
	start := time.Now()
	_, err = load.Run(testContext(t), s.client.NS)
	check(t, err)
	took := time.Since(start)
	t.Logf("%d connections in %v: %.0f a second", connections, took.Round(time.Millisecond), connections/took.Seconds())

	got := w.compare(t, f)
	ends := map[string]int{}
	for k, c := range got {
		if k.proto == capture.TCP && c.flags&capture.FIN != 0 && c.flags&capture.SYN != 0 {
			ends[fmt.Sprintf("%d %v", k.iface, k.from)]++
		}
	}
	if len(ends) != 4 {
		t.Errorf("connections seen at %d ends, want 4", len(ends))
	}
	// A port may have served twice.
	for end, n := range ends {
		if n > connections || n < connections*9/10 {
			t.Errorf("%s: %d connections, want %d", end, n, connections)
		}
	}
	t.Logf("%d flows, %d events lost", f.flows, f.lost)
}
