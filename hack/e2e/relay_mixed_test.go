package e2e

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	relaypb "github.com/cilium/cilium/api/v1/relay"
	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/fovea-obs/fovea/hack/process"
)

// mixed is a relay over some of Hubble's own servers, and agents of ours.
type mixed struct {
	relay *process.Agent
	ours  []observerpb.ObserverClient
	their []*hubbleServer
	// until is the time of all there is.
	until time.Time
}

// answer is what a request is to be answered with: what the nodes tell themselves, in
// order, and of that the first or the last.
func (m *mixed) answer(t *testing.T, asked *observerpb.GetFlowsRequest) []*observerpb.GetFlowsResponse {
	t.Helper()
	req := proto.CloneOf(asked)
	number, first := int(req.GetNumber()), req.GetFirst() || req.GetSince() != nil
	req.Number, req.First = 0, false
	flows := own(t, m.ours, req)
	if paths := req.GetFieldMask().GetPaths(); len(paths) > 0 {
		// Hubble's servers tell no time and no name of theirs if they are not asked to.
		req.FieldMask.Paths = append(paths, "time", "node_name")
	}
	if m.cutsShort(asked) {
		req.Number = asked.GetNumber()
	}
	for _, h := range m.their {
		flows = append(flows, own(t, []observerpb.ObserverClient{h.client}, req)...)
	}
	slices.SortFunc(flows, byTimeAndNode)
	switch {
	case number == 0 || number > len(flows):
		return flows
	case first:
		return flows[:number]
	}
	return flows[len(flows)-number:]
}

// cutsShort tells whether Hubble's servers answer with fewer flows than there are: of the
// last up to a time they take the last of all, and of these those up to the time.
func (m *mixed) cutsShort(req *observerpb.GetFlowsRequest) bool {
	return req.GetNumber() > 0 && !req.GetFirst() && req.GetSince() == nil && req.GetUntil().AsTime().Before(m.until)
}

// newMixed returns agents and Hubble's servers that have flows of the same time: all was
// told that was before its end.
func newMixed(t *testing.T) (f *federation, servers []*hubbleServer, since, until time.Time) {
	t.Helper()
	f = newFederation(t)
	f.talk(t, 25)
	until = f.settle(t)
	r := rand.New(rand.NewPCG(1, 0))
	told := own(t, f.clients(), &observerpb.GetFlowsRequest{Until: timestamppb.New(until)})
	since = told[0].GetTime().AsTime()
	taken := map[int64]bool{}
	for _, f := range told {
		taken[f.GetTime().AsTime().UnixNano()] = true
	}
	for _, name := range []string{"north", "south", "west"} {
		h := startHubbleServer(t, name)
		h.load(t, h.spread(r, told, 300, since, until, taken))
		servers = append(servers, h)
	}
	return f, servers, since, until
}

// TestRelayOverHubble has a relay ask Hubble's own servers, by themselves and among
// agents: it tells what they do, flow by flow, and in order.
func TestRelayOverHubble(t *testing.T) {
	f, servers, since, until := newMixed(t)
	var theirs []string
	for _, h := range servers {
		theirs = append(theirs, h.name+"="+h.address)
	}
	for name, m := range map[string]*mixed{
		"one":    {startRelay(t, nil, theirs[:1]), nil, servers[:1], until},
		"theirs": {startRelay(t, nil, theirs), nil, servers, until},
		"both":   {startRelay(t, nil, slices.Concat(f.peers(), theirs)), f.clients(), servers, until},
	} {
		t.Run(name, func(t *testing.T) {
			for name, req := range mixedRequests(since, until) {
				t.Run(name, func(t *testing.T) { m.compare(t, req) })
			}
			t.Run("other calls", m.compareStatus)
		})
	}
}

func mixedRequests(since, until time.Time) map[string]*observerpb.GetFlowsRequest {
	third := until.Sub(since) / 3
	early, late, end := timestamppb.New(since.Add(third)), timestamppb.New(since.Add(2*third)), timestamppb.New(until)
	return map[string]*observerpb.GetFlowsRequest{
		"all":              {Until: end},
		"last":             {Until: end, Number: 20},
		"last one":         {Until: end, Number: 1},
		"last many":        {Until: end, Number: 200},
		"last, with room":  {Until: end, Number: 60000},
		"first":            {Until: end, Number: 20, First: true},
		"first many":       {Until: end, Number: 200, First: true},
		"since":            {Until: end, Since: early},
		"first since":      {Until: end, Since: early, Number: 20, First: true},
		"some since":       {Until: end, Since: early, Number: 20},
		"until":            {Until: late},
		"last until":       {Until: late, Number: 250},
		"of a time":        {Since: early, Until: late},
		"some":             {Until: end, Whitelist: toPort80()},
		"last of some":     {Until: end, Whitelist: toPort80(), Number: 30},
		"not those":        {Until: end, Blacklist: toPort80()},
		"of a node":        {Until: end, Whitelist: []*flowpb.FlowFilter{{NodeName: []string{"north"}}}},
		"an expression":    {Until: end, Whitelist: []*flowpb.FlowFilter{{Experimental: &flowpb.FlowFilter_Experimental{CelExpression: []string{"_flow.l4.TCP.destination_port == 80u"}}}}},
		"few fields":       {Until: end, FieldMask: &fieldmaskpb.FieldMask{Paths: []string{"uuid", "source.pod_name"}}},
		"last, few fields": {Until: end, Number: 30, FieldMask: &fieldmaskpb.FieldMask{Paths: []string{"time", "l4", "node_name"}}},
	}
}

func (m *mixed) compare(t *testing.T, req *observerpb.GetFlowsRequest) {
	if len(m.their) == 1 && req.GetWhitelist() == nil && req.GetFieldMask() == nil {
		// Of one node all is what that tells.
		same(t, own(t, []observerpb.ObserverClient{m.their[0].client}, req), m.answer(t, req))
	}
	want := m.answer(t, req)
	got, statuses := all(t, m.relay.Client, req)
	if !slices.IsSortedFunc(got, byTime) {
		t.Error("flows are not in order")
	}
	slices.SortStableFunc(got, byTimeAndNode)
	same(t, want, got)
	if len(want) == 0 {
		t.Error("no flows")
	}
	told := map[string]bool{}
	for _, r := range statuses {
		s := r.GetNodeStatus()
		if s.GetStateChange() != relaypb.NodeState_NODE_CONNECTED || len(s.GetNodeNames()) != 1 || told[s.GetNodeNames()[0]] {
			t.Errorf("node status %v", s)
			continue
		}
		told[s.GetNodeNames()[0]] = true
	}
	for _, r := range got {
		if !told[r.GetNodeName()] {
			t.Fatalf("no node status of %s, which has flows", r.GetNodeName())
		}
	}
	t.Logf("%d flows", len(got))
}

// compareStatus holds the calls of one message against the nodes' own answers.
func (m *mixed) compareStatus(t *testing.T) {
	ctx := testContext(t)
	sum := func() *observerpb.ServerStatusResponse {
		sum := &observerpb.ServerStatusResponse{}
		clients := slices.Clone(m.ours)
		for _, h := range m.their {
			clients = append(clients, h.client)
		}
		for _, c := range clients {
			s, err := c.ServerStatus(ctx, &observerpb.ServerStatusRequest{})
			check(t, err)
			sum.NumFlows, sum.MaxFlows, sum.SeenFlows = sum.NumFlows+s.GetNumFlows(), sum.MaxFlows+s.GetMaxFlows(), sum.SeenFlows+s.GetSeenFlows()
		}
		return sum
	}
	before := sum()
	got, err := m.relay.Client.ServerStatus(ctx, &observerpb.ServerStatusRequest{})
	check(t, err)
	after := sum()
	if got.GetMaxFlows() != after.GetMaxFlows() || got.GetNumFlows() < before.GetNumFlows() || got.GetNumFlows() > after.GetNumFlows() ||
		got.GetSeenFlows() < before.GetSeenFlows() || got.GetSeenFlows() > after.GetSeenFlows() {
		t.Errorf("status %v, not between %v and %v", got, before, after)
	}
	nodes, err := m.relay.Client.GetNodes(ctx, &observerpb.GetNodesRequest{})
	check(t, err)
	for _, h := range m.their {
		own, err := h.client.ServerStatus(ctx, &observerpb.ServerStatusRequest{})
		check(t, err)
		i := slices.IndexFunc(nodes.GetNodes(), func(n *observerpb.Node) bool { return n.GetName() == h.name })
		if i < 0 {
			t.Errorf("no node %s in %v", h.name, nodes)
			continue
		}
		want := &observerpb.Node{
			Name: h.name, Address: h.address, State: relaypb.NodeState_NODE_CONNECTED, Tls: &observerpb.TLS{},
			Version: own.GetVersion(), NumFlows: own.GetNumFlows(), MaxFlows: own.GetMaxFlows(), SeenFlows: own.GetSeenFlows(),
		}
		if diff := gocmp.Diff(want, nodes.GetNodes()[i], protocmp.Transform(), protocmp.IgnoreFields(want, "uptime_ns")); diff != "" {
			t.Errorf("node %s: %s", h.name, diff)
		}
	}
}
