package e2e

import (
	"context"
	"slices"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// TestRelayFollowsHubble has a relay follow agents and Hubble's own servers at the same
// time: all that they tell comes once, and in order, for which it has time.
func TestRelayFollowsHubble(t *testing.T) {
	f, servers, _, until := newMixed(t)
	m := &mixed{ours: f.clients(), their: servers, until: until}
	peers := f.peers()
	for _, h := range servers {
		peers = append(peers, h.name+"="+h.address)
	}
	m.relay = startRelay(t, nil, peers, "--sort-buffer-drain-timeout", "5s")
	like := own(t, m.ours, &observerpb.GetFlowsRequest{Until: timestamppb.New(until), Whitelist: toPort80()})[0].GetFlow()
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	stream, err := m.relay.Client.GetFlows(ctx, &observerpb.GetFlowsRequest{
		Follow: true, Since: timestamppb.New(until), Whitelist: toPort80(),
	})
	check(t, err)
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
	// There is a later flow of each node: settle has seen to those of the agents, and
	// Hubble's servers keep their newest to themselves.
	for _, h := range servers {
		h.load(t, []*flowpb.Flow{h.flow(like, time.Now()), h.flow(like, time.Now())})
	}
	want := m.answer(t, &observerpb.GetFlowsRequest{
		Since: timestamppb.New(until), Until: timestamppb.New(settled), Whitelist: toPort80(),
	})
	if len(want) < 5*(60+2) {
		t.Errorf("%d flows since then", len(want))
	}
	var got []*observerpb.GetFlowsResponse
	for past := map[string]bool{}; len(past) < len(peers); {
		r := nextFlow(t, stream)
		if r.GetTime().AsTime().After(settled) {
			past[r.GetNodeName()] = true
		} else {
			got = append(got, r)
		}
	}
	if anywhere, _ := late(got); anywhere > 0 {
		t.Errorf("%d flows are not in order", anywhere)
	}
	slices.SortStableFunc(got, byTimeAndNode)
	same(t, want, got)
	t.Logf("%d flows", len(got))
}
