package e2e

import (
	"fmt"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/fovea-obs/fovea/hack/lab"
)

// TestEngine has rules log packets before they drop them, as engines of network
// policies do, and is told which policy they name: of these packets, and not of the
// next ones.
func TestEngine(t *testing.T) {
	s := newShopWithoutServices(t)
	a := startAgent(t, s.agentConfig(t, s.near, "--nflog-group", "100"))
	f := follow(t, a, time.Now(), nil)
	for _, d := range []lab.Drop{
		{Protocol: lab.UDP, Port: 801, Log: "DROP by policy shop/web-deny"},
		{Protocol: lab.UDP, Port: 802},
		{Protocol: lab.UDP, Port: 803, Log: "dropped: "},
		{Protocol: lab.UDP, Port: 804, Log: "DROP by policy shop/other", Action: lab.Reject},
	} {
		_, err := s.near.AddDrop(d)
		check(t, err)
	}
	ctx := testContext(t)
	for port, want := range map[uint16]string{801: "web-deny", 802: "", 803: "", 804: "other"} {
		for range 3 {
			check(t, s.datagrams(s.web.IPv4, port, 1)(ctx))
		}
		d, err := f.await(ctx, fmt.Sprintf("a drop at port %d", port), func(f *flowpb.Flow) bool {
			return f.GetEventType().GetType() == 1 && f.GetL4().GetUDP().GetDestinationPort() == uint32(port)
		})
		check(t, err)
		var policies []*flowpb.Policy
		reason, engine := flowpb.DropReason_DROP_REASON_UNKNOWN, ""
		if want != "" {
			policies = []*flowpb.Policy{{Name: want, Namespace: "shop", Kind: "NetworkPolicy"}}
			reason, engine = flowpb.DropReason_POLICY_DENIED, "kube-router"
		}
		if diff := cmp.Diff(policies, d.GetEgressDeniedBy(), protocmp.Transform()); diff != "" || d.GetDropReasonDesc() != reason {
			t.Errorf("port %d: %v, denied by (-want +got): %s", port, d.GetDropReasonDesc(), diff)
		}
		words := extensionsOf(d)["drop"].GetStructValue().GetFields()
		if got := words["engine"].GetStringValue(); got != engine || extensionsOf(d)["policy_inferred"] != nil {
			t.Errorf("port %d: said by %q, want %q: %v", port, got, engine, d)
		}
		if d.GetSummary() == "" || d.GetTrafficDirection() != flowpb.TrafficDirection_EGRESS {
			t.Errorf("port %d: %v", port, d)
		}
	}
}
