package ask

import (
	"bytes"
	"encoding/hex"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func aFlow() *observerpb.GetFlowsResponse {
	end := func(name string) *flowpb.Endpoint {
		return &flowpb.Endpoint{
			ID: 17, Identity: 1078087165, ClusterName: "default", Namespace: "shop", PodName: name,
			Labels:    []string{"k8s:app=" + name, "k8s:io.kubernetes.pod.namespace=shop", "k8s:io.cilium.k8s.policy.serviceaccount=default"},
			Workloads: []*flowpb.Workload{{Name: name, Kind: "Deployment"}},
		}
	}
	at := timestamppb.New(time.Unix(1_700_000_000, 123_456_789))
	return &observerpb.GetFlowsResponse{
		NodeName: "default/node1", Time: at,
		ResponseTypes: &observerpb.GetFlowsResponse_Flow{Flow: &flowpb.Flow{
			Time: at, Uuid: "2f0a3c1e-1111-4222-8333-444455556666", Verdict: flowpb.Verdict_FORWARDED, NodeName: "default/node1",
			Ethernet: &flowpb.Ethernet{Source: "ee:ee:ee:ee:ee:ee", Destination: "aa:bb:cc:dd:ee:ff"},
			IP:       &flowpb.IP{Source: "10.1.1.2", Destination: "10.1.2.2", IpVersion: flowpb.IPVersion_IPv4},
			L4: &flowpb.Layer4{Protocol: &flowpb.Layer4_TCP{TCP: &flowpb.TCP{
				SourcePort: 40000, DestinationPort: 80, Flags: &flowpb.TCPFlags{SYN: true},
			}}},
			Source: end("client"), Destination: end("web-5d8f-abcde"), Type: flowpb.FlowType_L3_L4,
			DestinationNames:   []string{"web.shop.svc.cluster.local"},
			DestinationService: &flowpb.Service{Name: "web", Namespace: "shop"},
			Interface:          &flowpb.NetworkInterface{Index: 5, Name: "veth-client"},
			EventType:          &flowpb.CiliumEventType{Type: 4, SubType: 5},
			IsReply:            wrapperspb.Bool(false), TrafficDirection: flowpb.TrafficDirection_EGRESS,
			NodeLabels: []string{"a=b"},
		}},
	}
}

// TestShape holds what is let through against what a client can read, for a flow of which
// each byte is wrong in turn, or all from there on are missing.
func TestShape(t *testing.T) {
	good := marshal(t, aFlow())
	if err := response().check(good, 0); err != nil {
		t.Fatal(err)
	}
	refused := 0
	hold := func(b []byte) {
		err := proto.Unmarshal(b, &observerpb.GetFlowsResponse{})
		if got := response().check(b, 0); (got != nil) != (err != nil) {
			t.Errorf("%s: %v, want %v", hex.EncodeToString(b), got, err)
		}
		if err != nil {
			refused++
		}
	}
	for i := range good {
		hold(good[:i])
		for _, with := range []byte{0, 1, 7, 0x12, 0x7f, 0x80, 0xff} {
			b := bytes.Clone(good)
			b[i] = with
			hold(b)
		}
	}
	if refused < len(good) {
		t.Errorf("%d were refused", refused)
	}
}

// FuzzShape lets nothing through that a client cannot read.
func FuzzShape(f *testing.F) {
	f.Add(marshal(f, aFlow()))
	f.Fuzz(func(t *testing.T, b []byte) {
		if response().check(b, 0) != nil {
			return
		}
		if err := proto.Unmarshal(b, &observerpb.GetFlowsResponse{}); err != nil {
			t.Errorf("let through: %v", err)
		}
	})
}

func BenchmarkShape(b *testing.B) {
	m := marshal(b, aFlow())
	s := response()
	b.SetBytes(int64(len(m)))
	for b.Loop() {
		if err := s.check(m, 0); err != nil {
			b.Fatal(err)
		}
	}
}
