package e2e

import (
	"context"
	"slices"
	"strings"
	"testing"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	relaypb "github.com/cilium/cilium/api/v1/relay"
	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/fovea-obs/fovea/hack/process"
)

// TestHubbleRelay has Hubble's own relay ask our agents: what it tells is what they do,
// flow by flow. It puts nodes into order as far as it can, and each node's flows are.
func TestHubbleRelay(t *testing.T) {
	f := newFederation(t, "--listen-address", ":4244", "--disable-server-tls")
	hubble := f.startHubbleRelay(t)
	f.talk(t, 60)
	f.forbid(t)
	check(t, f.forbidden(testContext(t), f.client, f.db))
	until := f.settle(t)
	told := own(t, f.clients(), &observerpb.GetFlowsRequest{Until: timestamppb.New(until)})
	since := told[len(told)/2].GetTime()
	for name, req := range map[string]*observerpb.GetFlowsRequest{
		"all":             {},
		"last":            {Number: 20},
		"last many":       {Number: 300},
		"first":           {Number: 20, First: true},
		"since":           {Since: since},
		"first since":     {Since: since, Number: 5, First: true},
		"some":            {Whitelist: toPort80()},
		"not those":       {Blacklist: toPort80()},
		"last of some":    {Whitelist: toPort80(), Number: 7},
		"dropped":         {Whitelist: []*flowpb.FlowFilter{{Verdict: []flowpb.Verdict{flowpb.Verdict_DROPPED}}}},
		"of one node":     {Whitelist: []*flowpb.FlowFilter{{NodeName: []string{f.far.Name}}}},
		"an expression":   {Whitelist: []*flowpb.FlowFilter{{Experimental: &flowpb.FlowFilter_Experimental{CelExpression: []string{"_flow.l4.TCP.destination_port == 80u"}}}}},
		"few fields":      {FieldMask: &fieldmaskpb.FieldMask{Paths: []string{"uuid", "source.pod_name"}}},
		"nothing matches": {Whitelist: []*flowpb.FlowFilter{{DestinationPort: []string{"1"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			req.Until = timestamppb.New(until)
			got, statuses := all(t, hubble.Client, req)
			want := own(t, f.clients(), req)
			anywhere, ofNode := late(got)
			slices.SortStableFunc(got, byTimeAndNode)
			same(t, want, got)
			if (len(got) == 0) != (name == "nothing matches") {
				t.Errorf("%d flows", len(got))
			}
			if ofNode > 0 {
				t.Errorf("%d flows of a node are not in order", ofNode)
			}
			if len(statuses) != 1 || statuses[0].GetNodeStatus().GetStateChange() != relaypb.NodeState_NODE_CONNECTED ||
				len(statuses[0].GetNodeStatus().GetNodeNames()) != 2 {
				t.Errorf("node statuses %v", statuses)
			}
			t.Logf("%d flows, %d after later ones", len(got), anywhere)
		})
	}
	t.Run("not valid", func(t *testing.T) { f.compareRefused(t, hubble) })
	t.Run("follow", func(t *testing.T) { f.compareFollow(t, hubble) })
	t.Run("other calls", func(t *testing.T) { f.compareOtherCalls(t, hubble) })
	t.Run("command line", func(t *testing.T) { f.compareCommandLine(t, hubble, until) })
}

// compareFollow has a relay follow, and asks the agents afterwards.
func (f *federation) compareFollow(t *testing.T, relay *process.Agent) {
	begun := timestamppb.Now()
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	stream, err := relay.Client.GetFlows(ctx, &observerpb.GetFlowsRequest{Follow: true, Since: begun})
	check(t, err)
	// It has asked them all before it says so.
	first, err := stream.Recv()
	check(t, err)
	if first.GetNodeStatus().GetStateChange() != relaypb.NodeState_NODE_CONNECTED {
		t.Fatalf("it begins with %v", first)
	}
	f.talk(t, 20)
	want := own(t, f.clients(), &observerpb.GetFlowsRequest{Since: begun, Until: timestamppb.New(f.settle(t))})
	missing := map[string]*observerpb.GetFlowsResponse{}
	for _, r := range want {
		missing[r.GetFlow().GetUuid()] = r
	}
	for len(missing) > 0 {
		r, err := stream.Recv()
		check(t, err)
		id := r.GetFlow().GetUuid()
		if w := missing[id]; w != nil {
			same(t, []*observerpb.GetFlowsResponse{w}, []*observerpb.GetFlowsResponse{r})
			delete(missing, id)
		}
	}
	t.Logf("%d flows", len(want))
}

// compareRefused asks for what makes no sense. Hubble's relay says so of each node, and
// ends well; ours says it once, by the end.
func (f *federation) compareRefused(t *testing.T, hubble *process.Agent) {
	req := &observerpb.GetFlowsRequest{Whitelist: []*flowpb.FlowFilter{{SourceIp: []string{"nowhere"}}}}
	flows, statuses := all(t, hubble.Client, req)
	named := 0
	why := ""
	for _, s := range statuses {
		if s := s.GetNodeStatus(); s.GetStateChange() == relaypb.NodeState_NODE_ERROR {
			named, why = named+len(s.GetNodeNames()), s.GetMessage()
		}
	}
	if len(flows) > 0 || named != len(f.nodes) {
		t.Errorf("Hubble's relay tells %v, %v", flows, statuses)
	}
	stream, err := f.relay.Client.GetFlows(testContext(t), req)
	check(t, err)
	r, err := stream.Recv()
	if status.Code(err) != codes.InvalidArgument || !strings.HasSuffix(why, status.Convert(err).Message()) {
		t.Errorf("ours tells %v, %v, Hubble's relay %q", r, err, why)
	}
}

// compareOtherCalls holds the calls of one message against what our relay answers.
func (f *federation) compareOtherCalls(t *testing.T, hubble *process.Agent) {
	ctx := testContext(t)
	statusOf := func(a *process.Agent) *observerpb.ServerStatusResponse {
		s, err := a.Client.ServerStatus(ctx, &observerpb.ServerStatusRequest{})
		check(t, err)
		return s
	}
	// There may be more flows all the time.
	before, theirs, after := statusOf(f.relay), statusOf(hubble), statusOf(f.relay)
	if theirs.GetNumFlows() < before.GetNumFlows() || theirs.GetNumFlows() > after.GetNumFlows() ||
		theirs.GetSeenFlows() < before.GetSeenFlows() || theirs.GetSeenFlows() > after.GetSeenFlows() ||
		theirs.GetUptimeNs() < before.GetUptimeNs() || theirs.GetUptimeNs() > after.GetUptimeNs() {
		t.Errorf("Hubble's relay has status %v, between %v and %v of ours", theirs, before, after)
	}
	if diff := gocmp.Diff(theirs, after, protocmp.Transform(), protocmp.IgnoreFields(theirs,
		"num_flows", "seen_flows", "uptime_ns", "flows_rate", "version")); diff != "" {
		t.Errorf("status: %s", diff)
	}
	nodes := func(a *process.Agent) []*observerpb.Node {
		r, err := a.Client.GetNodes(ctx, &observerpb.GetNodesRequest{})
		check(t, err)
		slices.SortFunc(r.Nodes, func(a, b *observerpb.Node) int { return strings.Compare(a.GetName(), b.GetName()) })
		return r.Nodes
	}
	// Ours asks the agents by their sockets.
	if diff := gocmp.Diff(nodes(hubble), nodes(f.relay), protocmp.Transform(), protocmp.IgnoreFields(&observerpb.Node{},
		"num_flows", "seen_flows", "uptime_ns", "address")); diff != "" {
		t.Errorf("nodes: %s", diff)
	}
	namespaces := func(a *process.Agent) *observerpb.GetNamespacesResponse {
		r, err := a.Client.GetNamespaces(ctx, &observerpb.GetNamespacesRequest{})
		check(t, err)
		return r
	}
	if diff := gocmp.Diff(namespaces(hubble), namespaces(f.relay), protocmp.Transform()); diff != "" {
		t.Errorf("namespaces: %s", diff)
	}
}
