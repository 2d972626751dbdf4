package e2e

import (
	"context"
	"slices"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
)

// TestRelayFollowsHubble has a relay follow agents and Hubble's own servers at the same
// time: all that they tell comes once, and what a node tells in its order.
func TestRelayFollowsHubble(t *testing.T) {
	f, servers, _, until := newMixed(t)
	m := &mixed{ours: f.clients(), their: servers, until: until}
	peers := f.peers()
	for _, h := range servers {
		peers = append(peers, h.name+"="+h.address)
	}
	m.relay = startRelay(t, nil, peers)
	port80 := []*flowpb.FlowFilter{{DestinationPort: []string{"80"}, Reply: []bool{false}}}
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	stream, err := m.relay.Client.GetFlows(ctx, &observerpb.GetFlowsRequest{Number: 10, Follow: true, Whitelist: port80})
	check(t, err)
	next := func() *observerpb.GetFlowsResponse {
		for {
			r, err := stream.Recv()
			check(t, err)
			if r.GetFlow() != nil {
				return r
			}
		}
	}
	first := next()
	like := first.GetFlow()
	for range 5 {
		for _, h := range servers {
			var flows []*flowpb.Flow
			for range 20 {
				flows = append(flows, h.flow(like, time.Now()))
			}
			h.load(t, flows)
		}
		f.talk(t, 2)
	}
	settled := f.settle(t)
	want := m.answer(t, &observerpb.GetFlowsRequest{Since: first.GetTime(), Whitelist: port80})
	if len(want) < 10+5*(60+2) {
		t.Errorf("%d flows since then", len(want))
	}
	missing := map[string]bool{}
	for _, r := range want {
		missing[r.GetFlow().GetUuid()] = true
	}
	seen := map[string]bool{}
	var got []*observerpb.GetFlowsResponse
	var newest time.Time
	for r := first; ; r = next() {
		id, at := r.GetFlow().GetUuid(), r.GetTime().AsTime()
		if seen[id] {
			t.Errorf("it comes twice: %v", r)
		}
		seen[id] = true
		if age := time.Since(at); at.Before(newest) && age < patience {
			t.Errorf("after one of a time %v later, and %v after it happened, comes %v", newest.Sub(at), age, r)
		}
		newest = later(newest, at)
		switch {
		case missing[id]:
			delete(missing, id)
			got = append(got, r)
		case m.isOurs(r) && at.Before(settled):
			t.Errorf("it is in no answer: %v", r)
		default:
			// It happened since, or is the newest of a server of Hubble's, which
			// these tell to those only that follow.
		}
		if len(missing) == 0 {
			break
		}
	}
	anywhere, ofNode := late(got)
	if ofNode > 0 {
		t.Errorf("%d flows of a node are not in order", ofNode)
	}
	slices.SortStableFunc(got, byTimeAndNode)
	same(t, want, got)
	t.Logf("%d flows, %d after later ones", len(got), anywhere)
}

// patience is how long a relay waits at most, as it does by default, for nodes that do not
// tell how far they have come. What comes after a later flow has come later than that.
const patience = 200 * time.Millisecond
