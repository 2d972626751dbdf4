package e2e

import (
	"context"
	"slices"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	relaypb "github.com/cilium/cilium/api/v1/relay"
	"github.com/google/go-cmp/cmp"
)

// uiFlows is how many flows of the past Hubble UI asks for.
const uiFlows = 10_000

// uiRequest is what the backend of Hubble UI asks a relay for when a page shows a
// namespace, or all of them if it is empty. A page hides the flows of ends with certain
// labels, unless its user wants them.
func uiRequest(namespace string, hides bool) *observerpb.GetFlowsRequest {
	r := &observerpb.GetFlowsRequest{Number: uiFlows, Follow: true, Whitelist: []*flowpb.FlowFilter{{Reply: []bool{false}}}}
	if namespace != "" {
		r.Whitelist = []*flowpb.FlowFilter{
			{SourcePod: []string{namespace + "/"}, Reply: []bool{false}},
			{DestinationPod: []string{namespace + "/"}, Reply: []bool{false}},
		}
	}
	const dns = "k8s:k8s-app=kube-dns"
	sources, destinations := []string{"reserved:unknown"}, []string{"reserved:unknown"}
	if hides {
		r.Blacklist = append(r.Blacklist, &flowpb.FlowFilter{DestinationLabel: []string{dns}, DestinationPort: []string{"53"}})
		more := []string{"reserved:host", "reserved:remote-node", "k8s:app=prometheus"}
		sources, destinations = append(append(sources, more...), dns), append(destinations, more...)
	}
	r.Blacklist = append(r.Blacklist, &flowpb.FlowFilter{SourceLabel: sources}, &flowpb.FlowFilter{DestinationLabel: destinations},
		&flowpb.FlowFilter{SourceFqdn: []string{"*.cluster.local*"}}, &flowpb.FlowFilter{DestinationFqdn: []string{"*.cluster.local*"}})
	return r
}

// TestUI asks a relay for what Hubble UI asks it for. It holds each flow that comes against
// what the page needs of it, and what the page would draw against what there was.
func TestUI(t *testing.T) {
	s := newUIShop(t)
	s.trade(t)
	for name, tt := range map[string]struct {
		namespace string
		hides     bool
		want      []string
	}{
		"a namespace":               {"shop", true, uiLinks(ofPods)},
		"a namespace, with nodes":   {"shop", false, uiLinks(ofAll)},
		"another namespace":         {"pay", true, uiLinks(ofTill)},
		"all namespaces":            {"", true, uiLinks(ofPods)},
		"all namespaces, and nodes": {"", false, uiLinks(ofAll)},
	} {
		t.Run(name, func(t *testing.T) {
			m := newUIMap()
			for _, r := range s.shown(t, uiRequest(tt.namespace, tt.hides)) {
				m.add(r)
			}
			m.judge(t)
			if diff := cmp.Diff(tt.want, m.links()); diff != "" {
				t.Errorf("links (-want +got):\n%s", diff)
			}
			t.Logf("%d flows, %d links", m.flows, len(m.links()))
		})
	}
	t.Run("status", s.judgeStatus)
}

// shown are the flows that a page gets, up to those of a call that is made while it
// follows, and of which both nodes tell.
func (s *uiShop) shown(t *testing.T, req *observerpb.GetFlowsRequest) (flows []*observerpb.GetFlowsResponse) {
	t.Helper()
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	stream, err := s.relay.Client.GetFlows(ctx, req)
	check(t, err)
	begun, told := time.Now(), map[string]bool{}
	check(t, s.call(ctx, s.till, s.db.IPv4, 80))
	for len(told) < len(s.nodes) {
		r := nextFlow(t, stream)
		flows = append(flows, r)
		if r.GetTime().AsTime().After(begun) && r.GetFlow().GetSource().GetPodName() == s.till.Name {
			told[r.GetNodeName()] = true
		}
	}
	return flows
}

// judgeStatus holds what the page says of the nodes: that all of them are there.
func (s *uiShop) judgeStatus(t *testing.T) {
	ctx := testContext(t)
	status, err := s.relay.Client.ServerStatus(ctx, &observerpb.ServerStatusRequest{})
	check(t, err)
	if status.GetNumConnectedNodes().GetValue() != 2 || status.GetNumUnavailableNodes() == nil ||
		status.GetNumUnavailableNodes().GetValue() != 0 || status.GetUptimeNs() == 0 || status.GetSeenFlows() == 0 {
		t.Errorf("status %v", status)
	}
	nodes, err := s.relay.Client.GetNodes(ctx, &observerpb.GetNodesRequest{})
	check(t, err)
	var names []string
	for _, n := range nodes.GetNodes() {
		names = append(names, n.GetName())
		if n.GetState() != relaypb.NodeState_NODE_CONNECTED || n.GetSeenFlows() == 0 || n.GetUptimeNs() == 0 || n.GetVersion() == "" {
			t.Errorf("node %v", n)
		}
	}
	if want := []string{s.near.Name, s.far.Name}; !slices.Equal(names, want) {
		t.Errorf("nodes %q, want %q", names, want)
	}
}
