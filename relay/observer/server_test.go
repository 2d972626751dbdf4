package observer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/fovea-obs/fovea/internal/rpc"
	"github.com/fovea-obs/fovea/relay/peers"
)

// relay serves the nodes, and returns a client.
func relay(t *testing.T, nodes ...*node) (observerpb.ObserverClient, *peers.Peers) {
	t.Helper()
	client, known, _ := relayAt(t, patience)
	set(t, known, nodes...)
	return client, known
}

// patience is that of most relays here.
const patience = 200 * time.Millisecond

// relayAt is a relay of no nodes, and where it serves.
func relayAt(t *testing.T, patience time.Duration) (observerpb.ObserverClient, *peers.Peers, string) {
	t.Helper()
	known := peers.New(nil, time.Second)
	t.Cleanup(known.Close)
	server := rpc.New(rpc.Config{Header: metadata.Pairs(rpc.RelayVersion, "1.2.3")})
	observerpb.RegisterObserverServer(server, New(Config{
		Peers: known, Name: "relay", Version: "0.1.0", Patience: patience,
		MaxWaiting: 1000, Retry: time.Second, Log: slog.New(slog.DiscardHandler),
	}))
	ctx, cancel := context.WithCancel(context.Background())
	address := "unix://" + filepath.Join(t.TempDir(), "relay.sock")
	l, err := rpc.Listen(ctx, address)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, l) }()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(conn.Close(), <-done); err != nil {
			t.Error(err)
		}
	})
	return observerpb.NewObserverClient(conn), known, address
}

func set(t *testing.T, known *peers.Peers, nodes ...*node) {
	t.Helper()
	var list []peers.Node
	for _, n := range nodes {
		list = append(list, peers.Node{Name: n.name, Address: "unix://" + n.socket})
	}
	if err := known.Set(list); err != nil {
		t.Fatal(err)
	}
}

// tellOf is a response in words: the time of a flow in ms and its node, or what became
// of nodes.
func tellOf(r *observerpb.GetFlowsResponse) string {
	if s := r.GetNodeStatus(); s != nil {
		return strings.ToLower(strings.TrimPrefix(s.GetStateChange().String(), "NODE_")) + " " + strings.Join(s.GetNodeNames(), ",")
	}
	if l := r.GetLostEvents(); l != nil {
		return fmt.Sprintf("lost %d to %d %s", l.GetFirst().AsTime().UnixMilli(), l.GetLast().AsTime().UnixMilli(), r.GetNodeName())
	}
	return fmt.Sprintf("%d %s", r.GetTime().AsTime().UnixMilli(), r.GetNodeName())
}

func all(t *testing.T, c observerpb.ObserverClient, req *observerpb.GetFlowsRequest) (flows, others []string) {
	t.Helper()
	stream, err := c.GetFlows(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			slices.Sort(others)
			return flows, others
		}
		if err != nil {
			t.Fatal(err)
		}
		if r.GetNodeStatus() != nil {
			others = append(others, tellOf(r))
		} else {
			flows = append(flows, tellOf(r))
		}
	}
}

func ms(n int64) time.Time { return time.UnixMilli(n) }

func equal(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// TestHistory merges what nodes of both kinds have.
func TestHistory(t *testing.T) {
	a := newNode(t, "a", false, ms(1), ms(4), ms(9))
	b := newNode(t, "b", true, ms(2), ms(4), ms(5))
	c := newNode(t, "c", true)
	client, _ := relay(t, a, b, c)
	flows, others := all(t, client, &observerpb.GetFlowsRequest{})
	equal(t, "all", flows, "1 a", "2 b", "4 a", "4 b", "5 b", "9 a")
	// One of Hubble's own that has nothing says nothing.
	equal(t, "nodes", others, "connected a", "connected b", "connected c")
	flows, _ = all(t, client, &observerpb.GetFlowsRequest{Number: 2})
	equal(t, "last", flows, "5 b", "9 a")
	flows, _ = all(t, client, &observerpb.GetFlowsRequest{Number: 3, First: true})
	equal(t, "first", flows, "1 a", "2 b", "4 a")
	flows, _ = all(t, client, &observerpb.GetFlowsRequest{Number: 2, Since: timestamppb.New(ms(4))})
	equal(t, "since", flows, "4 a", "4 b")
	flows, _ = all(t, client, &observerpb.GetFlowsRequest{Number: 100})
	equal(t, "more than there are", flows, "1 a", "2 b", "4 a", "4 b", "5 b", "9 a")
}

// TestManyNodes has flows of many nodes in order.
func TestManyNodes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var nodes []*node
	total := 0
	for i := range 20 {
		var times []time.Time
		at := int64(0)
		for range r.IntN(200) {
			at += 1 + r.Int64N(100)
			times = append(times, ms(at))
		}
		total += len(times)
		nodes = append(nodes, newNode(t, fmt.Sprintf("n%02d", i), i%3 > 0, times...))
	}
	client, _ := relay(t, nodes...)
	stream, err := client.GetFlows(t.Context(), &observerpb.GetFlowsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	got, last := 0, time.Time{}
	for r, err := stream.Recv(); !errors.Is(err, io.EOF); r, err = stream.Recv() {
		if err != nil {
			t.Fatal(err)
		}
		if r.GetFlow() == nil {
			continue
		}
		if at := r.GetTime().AsTime(); at.Before(last) {
			t.Fatalf("%v after %v", at, last)
		} else {
			last = at
		}
		got++
	}
	if got != total {
		t.Errorf("%d flows, want %d", got, total)
	}
}

// TestFailures has nodes that fail in all ways.
func TestFailures(t *testing.T) {
	good := newNode(t, "good", true, ms(1), ms(2))
	away := newNode(t, "away", true)
	away.stop()
	garbage := newNode(t, "garbage", true)
	garbage.garbage = true
	failing := newNode(t, "failing", false)
	failing.fail = status.Error(codes.Internal, "out of order")
	denied := newNode(t, "denied", false)
	denied.fail = status.Error(codes.PermissionDenied, "not you")
	client, _ := relay(t, good, away, garbage, failing, denied)
	flows, others := all(t, client, &observerpb.GetFlowsRequest{})
	equal(t, "flows", flows, "1 good", "2 good")
	// Those who fail at once all the same have answered before.
	equal(t, "nodes", others, "connected denied", "connected failing", "connected good", "error denied", "error garbage", "unavailable away", "unavailable failing")
	got, err := client.ServerStatus(t.Context(), &observerpb.ServerStatusRequest{})
	if err != nil || got.GetNumConnectedNodes().GetValue()+got.GetNumUnavailableNodes().GetValue() != 5 {
		t.Errorf("status %v, %v", got, err)
	}
	if names := got.GetUnavailableNodes(); !slices.Contains(names, "failing") || !slices.Contains(names, "denied") || slices.Contains(names, "good") {
		t.Errorf("not available are %q", names)
	}
}

// TestInvalid has a request refused that no node takes.
func TestInvalid(t *testing.T) {
	n := newNode(t, "a", true)
	n.fail = status.Error(codes.InvalidArgument, "whitelist[0].source_ip: no")
	client, _ := relay(t, n, newNode(t, "b", true))
	for _, req := range []*observerpb.GetFlowsRequest{{}, {First: true, Follow: true}} {
		stream, err := client.GetFlows(t.Context(), req)
		for err == nil {
			_, err = stream.Recv()
		}
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("got %v, want InvalidArgument", err)
		}
	}
}

// following is a request that follows.
type following struct {
	t      *testing.T
	stream grpc.ServerStreamingClient[observerpb.GetFlowsResponse]
	// states are what was told of nodes last.
	states map[string]string
}

func follow(t *testing.T, c observerpb.ObserverClient, number uint64) *following {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	s, err := c.GetFlows(ctx, &observerpb.GetFlowsRequest{Follow: true, Number: number})
	if err != nil {
		t.Fatal(err)
	}
	return &following{t: t, stream: s}
}

// want waits for what comes next, in this order, and returns how long that took.
func (f *following) want(list ...string) time.Duration {
	f.t.Helper()
	begun := time.Now()
	equal(f.t, "told", f.read(len(list)), list...)
	return time.Since(begun)
}

// read waits for so many responses. That a node is away is told again for another reason.
func (f *following) read(n int) (got []string) {
	f.t.Helper()
	for len(got) < n {
		r, err := f.stream.Recv()
		if err != nil {
			f.t.Fatalf("after %q: %v", got, err)
		}
		told := tellOf(r)
		if s := r.GetNodeStatus(); s != nil {
			node := s.GetNodeNames()[0]
			again := f.states[node] == told
			if f.states == nil {
				f.states = map[string]string{}
			}
			if f.states[node] = told; again {
				continue
			}
		}
		got = append(got, told)
	}
	return got
}

// TestFollow has flows of two agents come in order, as soon as both are past them.
func TestFollow(t *testing.T) {
	a, b := newNode(t, "a", true, ms(1), ms(3)), newNode(t, "b", true, ms(2))
	// No flow would be out in time if one was not out before that.
	client, known, _ := relayAt(t, time.Minute)
	set(t, known, a, b)
	f := follow(t, client, 2)
	f.wantAll("connected a", "connected b")
	f.want("2 b", "3 a")
	now := time.Now().Truncate(time.Millisecond)
	a.add(now)
	f.want(fmt.Sprintf("%d a", now.UnixMilli()))
	// One joins, and one goes.
	c := newNode(t, "c", true)
	set(t, known, a, c)
	f.wantAll("gone b", "connected c")
	now = time.Now().Truncate(time.Millisecond)
	c.add(now)
	f.want(fmt.Sprintf("%d c", now.UnixMilli()))
}

// wantAll waits for all of these, in any order.
func (f *following) wantAll(list ...string) {
	f.t.Helper()
	got := f.read(len(list))
	slices.Sort(got)
	slices.Sort(list)
	equal(f.t, "told", got, list...)
}

// TestUntil has a request that follows end once all nodes are past its last time.
func TestUntil(t *testing.T) {
	a, b := newNode(t, "a", true), newNode(t, "b", true)
	client, _ := relay(t, a, b)
	at := time.Now().Truncate(time.Millisecond).Add(time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	stream, err := client.GetFlows(ctx, &observerpb.GetFlowsRequest{Follow: true, Until: timestamppb.New(at)})
	if err != nil {
		t.Fatal(err)
	}
	f := &following{t: t, stream: stream}
	f.wantAll("connected a", "connected b")
	a.add(at, at.Add(1e6))
	b.add(at.Add(2e6))
	f.want(fmt.Sprintf("%d a", at.UnixMilli()))
	if r, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, %v, want the end", r, err)
	}
}

// TestFollowWithoutMarks has one of Hubble's servers, which says nothing while it has
// nothing: flows of others wait for it, but not long.
func TestFollowWithoutMarks(t *testing.T) {
	a, b := newNode(t, "a", true), newNode(t, "b", false)
	client, _ := relay(t, a, b)
	f := follow(t, client, 0)
	f.wantAll("connected a", "connected b")
	now := time.Now().Truncate(time.Millisecond)
	a.add(now)
	if took := f.want(fmt.Sprintf("%d a", now.UnixMilli())); took < patience/2 || took > 5*time.Second {
		t.Errorf("a flow was out after %v, want 200ms", took)
	}
	b.add(now.Add(time.Millisecond))
	f.want(fmt.Sprintf("%d b", now.UnixMilli()+1))
}

// TestReturn has a node go and come back while a request follows: nothing is told
// twice, and nothing that it has is left out.
func TestReturn(t *testing.T) {
	a, b := newNode(t, "a", true), newNode(t, "b", true)
	client, _ := relay(t, a, b)
	f := follow(t, client, 0)
	f.wantAll("connected a", "connected b")
	at := time.Now().Truncate(time.Millisecond)
	word := func(n *node, after int64) string { return fmt.Sprintf("%d %s", at.UnixMilli()+after, n.name) }
	b.add(at)
	f.want(word(b, 0))
	b.stop()
	f.want("unavailable b")
	a.add(at.Add(1e6))
	f.want(word(a, 1))
	b.add(at.Add(2e6), at.Add(3e6))
	b.start(t)
	f.want("connected b", word(b, 2), word(b, 3))
}
