package observer

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/fovea-obs/fovea/relay/peers"
)

// TestGap has a node begin anew while a request follows: what it knew and did not tell is
// told as lost, as is what it has forgotten.
func TestGap(t *testing.T) {
	for _, batched := range []bool{true, false} {
		t.Run(fmt.Sprintf("batched=%v", batched), func(t *testing.T) {
			n := newNode(t, "n", batched)
			client, _ := relay(t, n)
			at := time.Now().Truncate(time.Millisecond)
			n.add(at)
			ctx := t.Context()
			stream, err := client.GetFlows(ctx, &observerpb.GetFlowsRequest{Follow: true, Since: timestamppb.New(at)})
			if err != nil {
				t.Fatal(err)
			}
			f := &following{t, stream}
			f.want("connected n", fmt.Sprintf("%d n", at.UnixMilli()))
			n.stop()
			f.want("unavailable n")
			n.forget()
			n.add(at.Add(5 * time.Millisecond))
			n.start(t)
			ms := at.UnixMilli()
			f.want("connected n", fmt.Sprintf("lost %d to %d n", ms, ms+5), fmt.Sprintf("%d n", ms+5))
		})
	}
}

// TestStates has a node stay away, which is told once, and come back.
func TestStates(t *testing.T) {
	n := newNode(t, "n", true)
	n.stop()
	client, _ := relay(t, n)
	f := follow(t, client, 5)
	f.want("unavailable n")
	begun := time.Now()
	// It is tried again in the meantime.
	time.AfterFunc(2500*time.Millisecond, func() { n.add(begun.Add(-time.Hour), begun); n.start(t) })
	f.want("connected n", fmt.Sprintf("%d n", begun.UnixMilli()))
}

// TestNodeOfAnotherName has a node asked for flows by the name that it has itself, not by
// that it is called here.
func TestNodeOfAnotherName(t *testing.T) {
	n := newNode(t, "itself", true, ms(1))
	client, known, _ := relayAt(t)
	if err := known.Set([]peers.Node{{Name: "here", Address: "unix://" + n.socket}}); err != nil {
		t.Fatal(err)
	}
	all(t, client, &observerpb.GetFlowsRequest{})
	flows, _ := all(t, client, &observerpb.GetFlowsRequest{Whitelist: []*flowpb.FlowFilter{{NodeName: []string{"itself"}}}})
	equal(t, "flows", flows, "1 itself")
}

// TestWantedNodes asks for flows of some nodes: others are not asked, once it is known
// that they tell of themselves only.
func TestWantedNodes(t *testing.T) {
	a, b := newNode(t, "a", true, ms(1)), newNode(t, "b", false, ms(2))
	client, _ := relay(t, a, b)
	all(t, client, &observerpb.GetFlowsRequest{})
	node := func(names ...string) *flowpb.FlowFilter { return &flowpb.FlowFilter{NodeName: names} }
	for name, tt := range map[string]struct {
		req  *observerpb.GetFlowsRequest
		a, b bool
	}{
		"one":             {&observerpb.GetFlowsRequest{Whitelist: []*flowpb.FlowFilter{node("a")}}, true, false},
		"of its cluster":  {&observerpb.GetFlowsRequest{Whitelist: []*flowpb.FlowFilter{node("default/b")}}, false, true},
		"of another":      {&observerpb.GetFlowsRequest{Whitelist: []*flowpb.FlowFilter{node("prod/")}}, false, false},
		"both":            {&observerpb.GetFlowsRequest{Whitelist: []*flowpb.FlowFilter{node("a"), node("x", "*")}}, true, true},
		"or anything":     {&observerpb.GetFlowsRequest{Whitelist: []*flowpb.FlowFilter{node("a"), {SourcePod: []string{"x"}}}}, true, true},
		"and more":        {&observerpb.GetFlowsRequest{Whitelist: []*flowpb.FlowFilter{{NodeName: []string{"a"}, SourcePod: []string{"x"}}}}, true, false},
		"not one":         {&observerpb.GetFlowsRequest{Blacklist: []*flowpb.FlowFilter{node("a")}}, false, true},
		"not all of one":  {&observerpb.GetFlowsRequest{Blacklist: []*flowpb.FlowFilter{{NodeName: []string{"a"}, SourcePod: []string{"x"}}}}, true, true},
		"one and not one": {&observerpb.GetFlowsRequest{Whitelist: []*flowpb.FlowFilter{node("*")}, Blacklist: []*flowpb.FlowFilter{node("b")}}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			a.wasAsked()
			b.wasAsked()
			all(t, client, tt.req)
			if got := [2]bool{len(a.wasAsked()) > 0, len(b.wasAsked()) > 0}; got != [2]bool{tt.a, tt.b} {
				t.Errorf("asked a: %v, b: %v, want %v, %v", got[0], got[1], tt.a, tt.b)
			}
		})
	}
	stream, err := client.GetFlows(t.Context(), &observerpb.GetFlowsRequest{Blacklist: []*flowpb.FlowFilter{node("a/b/c")}})
	if err == nil {
		_, err = stream.Recv()
	}
	if want := `blacklist[0].node_name: "a/b/c" is not valid: cluster/node or node, in which * stands for anything, expected`; status.Code(err) != codes.InvalidArgument || status.Convert(err).Message() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestAgentEvents merges what happened to agents.
func TestAgentEvents(t *testing.T) {
	a, b := newNode(t, "a", true, ms(1), ms(4)), newNode(t, "b", false, ms(2), ms(3))
	client, _ := relay(t, a, b)
	for name, tt := range map[string]struct {
		req  *observerpb.GetAgentEventsRequest
		want []string
	}{
		"all":   {&observerpb.GetAgentEventsRequest{}, []string{"1 a", "2 b", "3 b", "4 a"}},
		"last":  {&observerpb.GetAgentEventsRequest{Number: 3}, []string{"2 b", "3 b", "4 a"}},
		"first": {&observerpb.GetAgentEventsRequest{Number: 1, First: true}, []string{"1 a"}},
		"since": {&observerpb.GetAgentEventsRequest{Since: timestamppb.New(ms(3))}, []string{"3 b", "4 a"}},
	} {
		t.Run(name, func(t *testing.T) {
			stream, err := client.GetAgentEvents(t.Context(), tt.req)
			var got []string
			for err == nil {
				var r *observerpb.GetAgentEventsResponse
				if r, err = stream.Recv(); err == nil {
					got = append(got, fmt.Sprintf("%d %s", r.GetTime().AsTime().UnixMilli(), r.GetNodeName()))
				}
			}
			if !errors.Is(err, io.EOF) || !slices.Equal(got, tt.want) {
				t.Errorf("%q, %v, want %q", got, err, tt.want)
			}
		})
	}
	// These nodes have no events for debugging, which is no reason to fail.
	stream, err := client.GetDebugEvents(t.Context(), &observerpb.GetDebugEventsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, %v, want the end", r, err)
	}
}

// TestRelayOfRelays asks two clusters by their relays.
func TestRelayOfRelays(t *testing.T) {
	a, b, c := newNode(t, "east/a", true, ms(1), ms(4)), newNode(t, "east/b", true, ms(2)), newNode(t, "west/c", true, ms(3))
	away := newNode(t, "west/away", true)
	away.stop()
	client, known, _ := relayAt(t)
	var clusters []peers.Node
	for name, nodes := range map[string][]*node{"east": {a, b}, "west": {c, away}} {
		_, below, address := relayAt(t)
		set(t, below, nodes...)
		clusters = append(clusters, peers.Node{Name: name, Address: address})
	}
	if err := known.Set(clusters); err != nil {
		t.Fatal(err)
	}
	flows, others := all(t, client, &observerpb.GetFlowsRequest{})
	equal(t, "all", flows, "1 east/a", "2 east/b", "3 west/c", "4 east/a")
	equal(t, "nodes", others, "connected east", "connected east/a", "connected east/b", "connected west", "connected west/c", "unavailable west/away")
	flows, _ = all(t, client, &observerpb.GetFlowsRequest{Number: 2})
	equal(t, "last", flows, "3 west/c", "4 east/a")
	flows, _ = all(t, client, &observerpb.GetFlowsRequest{Whitelist: []*flowpb.FlowFilter{{NodeName: []string{"east/*"}}}})
	if len(flows) == 0 {
		t.Error("a relay is taken for a node")
	}
	got, err := client.ServerStatus(t.Context(), &observerpb.ServerStatusRequest{})
	if err != nil || got.GetNumConnectedNodes().GetValue() != 3 || got.GetNumUnavailableNodes().GetValue() != 1 || !slices.Equal(got.GetUnavailableNodes(), []string{"west/away"}) {
		t.Errorf("status %v, %v", got, err)
	}
	nodes, err := client.GetNodes(t.Context(), &observerpb.GetNodesRequest{})
	var names []string
	for _, n := range nodes.GetNodes() {
		names = append(names, n.GetName())
	}
	slices.Sort(names)
	if want := []string{"east/a", "east/b", "west/away", "west/c"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("nodes %q, %v, want %q", names, err, want)
	}
	f := follow(t, client, 1)
	f.wantAll("connected east", "connected east/a", "connected east/b", "connected west", "connected west/c", "unavailable west/away", "4 east/a")
	now := time.Now().Truncate(time.Millisecond)
	c.add(now)
	f.want(fmt.Sprintf("%d west/c", now.UnixMilli()))
}
