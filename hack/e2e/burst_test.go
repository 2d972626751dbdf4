package e2e

import (
	"net/netip"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"

	"github.com/fovea-obs/fovea/hack/lab/capture"
)

// TestTruthBurst has 5,000 short connections in a second, or as fast as the
// machine makes them, between two pods of a node: each is seen at both ends, to
// the last byte.
func TestTruthBurst(t *testing.T) {
	const connections = 5000
	s := newShopWithoutServices(t)
	e, err := serveBurst(s.web.NS, 80, 4)
	check(t, err)
	closeLater(t, e.Close)
	s.podServes(s.web, capture.TCP, 80)
	// Neighbours are resolved before, as in a cluster that is not new.
	target := netip.AddrPortFrom(s.web.IPv4, 80)
	check(t, burst(s.client.NS, target, 1, 1))

	w := watchPods(t, s.near, false)
	since := time.Now()
	a := startAgent(t, s.agentConfig(t, s.near, "--log-level", "debug"))
	w.begin(t)
	start := time.Now()
	check(t, burst(s.client.NS, target, connections, 4))
	took := time.Since(start)
	t.Logf("%d connections in %v: %.0f a second", connections, took.Round(time.Millisecond), connections/took.Seconds())

	// What reads the flows would take the machine's time from the load.
	j := s.newJudge(t, s.near)
	begun := map[end]int{}
	f := follow(t, a, since, func(f *flowpb.Flow) []string {
		if k := keyOf(f); f.GetL4().GetTCP().GetFlags().GetSYN() {
			begun[end{k.iface, k.from}]++
		}
		return j.flow(f)
	})
	w.compare(t, f)
	if len(begun) != 4 {
		t.Errorf("connections seen at %d ends, want 4: each way at each pod", len(begun))
	}
	for end, n := range begun {
		if n != connections {
			t.Errorf("%+v: %d connections, want %d", end, n, connections)
		}
	}
	t.Logf("%d flows, %d events lost", f.flows, f.lost)
}

// end is one direction at an interface.
type end struct {
	iface int
	from  bool
}
