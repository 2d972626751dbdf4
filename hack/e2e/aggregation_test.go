package e2e

import (
	"context"
	"net/netip"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"

	"github.com/fovea-obs/fovea/hack/lab"
	"github.com/fovea-obs/fovea/hack/lab/capture"
)

// TestAggregationNone asks for each packet.
func TestAggregationNone(t *testing.T) {
	const packets = 50
	s := newShopWithoutServices(t)
	s.serve(t)
	since := time.Now()
	a := startAgent(t, s.agentConfig(t, s.near, "--aggregation", "none"))
	f := follow(t, a, since, nil)
	ctx := testContext(t)
	_, err := lab.UDPLoad{Target: netip.AddrPortFrom(s.web.IPv4, 53), Count: packets}.Run(ctx, s.client.NS)
	check(t, err)
	// Each request and each answer, at both pods.
	seen := 0
	_, err = f.await(ctx, "all packets", func(f *flowpb.Flow) bool {
		if f.GetL4().GetUDP() == nil {
			return false
		}
		if n := sumOf(f).packets; n != 1 {
			t.Errorf("a flow of %d packets", n)
		}
		seen++
		return seen == 4*packets
	})
	check(t, err)
}

// TestAggregationInterval has a connection talk for some intervals, and fall
// silent: it is told of as often as asked for, and to the last packet.
func TestAggregationInterval(t *testing.T) {
	const interval, intervals = time.Second, 3
	s := newShopWithoutServices(t)
	since := time.Now()
	a := startAgent(t, s.agentConfig(t, s.near, "--aggregation-interval", interval.String()))
	f := follow(t, a, since, nil)
	c := s.newRendezvous().begin(t, dial{
		proto: capture.TCP, from: s.client.NS, to: netip.AddrPortFrom(s.db.IPv4, 80), pod: s.db, podPort: 80,
	})
	start := time.Now()
	said := 0
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	// It falls silent in the middle of an interval.
	for ; time.Since(start) < intervals*interval+interval/2; said++ {
		<-tick.C
		check(t, c.exchange(10))
	}
	silent := time.Since(start)
	isSteady := func(f *flowpb.Flow) bool {
		return f.GetL4().GetTCP().GetDestinationPort() == 80 && f.GetTime().AsTime().After(start)
	}
	ctx, cancel := context.WithTimeout(t.Context(), interval+2*time.Second)
	defer cancel()
	var packets uint64
	var at []time.Duration
	_, err := f.await(ctx, "the last counts", func(f *flowpb.Flow) bool {
		if isSteady(f) {
			packets += sumOf(f).packets
			at = append(at, f.GetTime().AsTime().Sub(start).Round(time.Millisecond))
		}
		// Each message is a packet; acknowledgements may be more.
		return packets >= uint64(said)
	})
	check(t, err)
	t.Logf("reports at %v; silent since %v", at, silent.Round(time.Millisecond))
	if len(at) != intervals+1 {
		t.Errorf("%d reports, want one for each of %d intervals, and one of the last counts", len(at), intervals)
	}
	for i := 1; i < len(at)-1; i++ {
		if d := at[i] - at[i-1]; d < interval-50*time.Millisecond || d > interval+500*time.Millisecond {
			t.Errorf("%v between reports, want %v", d, interval)
		}
	}
	if last := at[len(at)-1] - silent; last < 0 || last > interval+time.Second {
		t.Errorf("the last counts came %v after the last packet", last)
	}
}
