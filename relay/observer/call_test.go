package observer

import (
	"errors"
	"fmt"
	"io"
	"net"
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
			f := &following{t: t, stream: stream}
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

// TestAnother has a node go, and another take its name, while a request follows: what is
// told already is not told again, and what it has forgotten is told as lost.
func TestAnother(t *testing.T) {
	at := time.Now().Truncate(time.Millisecond)
	ms := at.UnixMilli()
	n := newNode(t, "n", true, at, at.Add(time.Millisecond))
	client, known := relay(t, n)
	stream, err := client.GetFlows(t.Context(), &observerpb.GetFlowsRequest{Follow: true, Since: timestamppb.New(at)})
	if err != nil {
		t.Fatal(err)
	}
	f := &following{t: t, stream: stream}
	f.want("connected n", fmt.Sprintf("%d n", ms), fmt.Sprintf("%d n", ms+1))
	set(t, known)
	f.want("gone n")
	n.add(at.Add(2 * time.Millisecond))
	set(t, known, n)
	f.want("connected n", fmt.Sprintf("%d n", ms+2))
	set(t, known)
	f.want("gone n")
	n.stop()
	n.forget()
	n.add(at.Add(5 * time.Millisecond))
	n.start(t)
	set(t, known, n)
	f.want("connected n", fmt.Sprintf("lost %d to %d n", ms+2, ms+5), fmt.Sprintf("%d n", ms+5))
}

// TestMuchAtOnce has a node tell much at once, and another a little later what is earlier.
func TestMuchAtOnce(t *testing.T) {
	a, b := newNode(t, "a", true), newNode(t, "b", true)
	client, _ := relay(t, a, b)
	f := follow(t, client, 0)
	f.wantAll("connected a", "connected b")
	at := time.Now()
	many := make([]time.Time, 900)
	for i := range many {
		many[i] = at.Add(time.Duration(i+1) * time.Microsecond)
	}
	a.pad = 1 << 10
	a.add(many...)
	time.AfterFunc(10*time.Millisecond, func() { b.add(at) })
	got := f.read(len(many) + 1)
	if first := fmt.Sprintf("%d b", at.UnixMilli()); got[0] != first {
		t.Errorf("the first is %s, want %s", got[0], first)
	}
}

// TestStates has a node stay away, which is told once, and come back.
func TestStates(t *testing.T) {
	n := newNode(t, "n", true)
	n.stop()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: n.socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	client, _ := relay(t, n)
	f := follow(t, client, 5)
	// It is tried once a second at most: what it is asked for then is what is since the
	// request came.
	for range 3 {
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	l.Close()
	now := time.Now()
	n.add(now.Add(-time.Hour), now)
	n.start(t)
	f.want("unavailable n", "connected n", fmt.Sprintf("%d n", now.UnixMilli()))
}

// TestNodeOfAnotherName has a node asked for flows by the name that it has itself, not by
// that it is called here.
func TestNodeOfAnotherName(t *testing.T) {
	n := newNode(t, "itself", true, ms(1))
	client, known, _ := relayAt(t, patience)
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
	client, known, _ := relayAt(t, patience)
	var clusters []peers.Node
	for name, nodes := range map[string][]*node{"east": {a, b}, "west": {c, away}} {
		_, below, address := relayAt(t, patience)
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
