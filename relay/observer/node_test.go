package observer

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/fovea-obs/fovea/internal/rpc"
	foveapb "github.com/fovea-obs/fovea/proto/v1"
)

// node is a server whose flows and failures a test says: agents do not fail when they
// are told to. It answers as Hubble's servers do, or as agents with batches.
type node struct {
	observerpb.UnimplementedObserverServer
	name, socket string
	batches      bool
	// fail is what every request ends with, garbage is sent in the place of a batch.
	fail    error
	garbage bool
	// pad is how many bytes more a flow has.
	pad int

	mu      sync.Mutex
	times   []time.Time
	asked   []*observerpb.GetFlowsRequest
	changed chan struct{}
	server  *grpc.Server
	done    chan error
}

func newNode(t *testing.T, name string, batches bool, times ...time.Time) *node {
	t.Helper()
	n := &node{
		name: name, socket: filepath.Join(t.TempDir(), "node.sock"), batches: batches, times: times,
		changed: make(chan struct{}),
	}
	n.start(t)
	t.Cleanup(n.stop)
	return n
}

func (n *node) start(t *testing.T) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", n.socket)
	if err != nil {
		t.Fatal(err)
	}
	n.server, n.done = grpc.NewServer(grpc.WaitForHandlers(true)), make(chan error, 1)
	observerpb.RegisterObserverServer(n.server, n)
	if n.batches {
		foveapb.RegisterBatchesServer(n.server, batches{n: n})
	}
	go func() { n.done <- n.server.Serve(l) }()
}

// stop has the node be away.
func (n *node) stop() {
	if n.server != nil {
		n.server.Stop()
		<-n.done
		n.server = nil
	}
}

// header is that of agents.
func header() metadata.MD { return metadata.Pairs(rpc.ServerVersion, "1.2.3") }

// forget has the node know no flows, as one that is started anew.
func (n *node) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.times = nil
}

// wasAsked returns the requests since the last time.
func (n *node) wasAsked() (all []*observerpb.GetFlowsRequest) {
	n.mu.Lock()
	defer n.mu.Unlock()
	all, n.asked = n.asked, nil
	return all
}

// GetAgentEvents tells of an event at the time of each flow.
func (n *node) GetAgentEvents(req *observerpb.GetAgentEventsRequest, stream grpc.ServerStreamingServer[observerpb.GetAgentEventsResponse]) error {
	if err := stream.SendHeader(header()); err != nil {
		return err
	}
	like := &observerpb.GetFlowsRequest{Number: req.GetNumber(), First: req.GetFirst(), Follow: req.GetFollow(), Since: req.GetSince(), Until: req.GetUntil()}
	return n.tell(stream.Context(), like, func(at time.Time) error {
		return stream.Send(&observerpb.GetAgentEventsResponse{
			NodeName: n.name, Time: timestamppb.New(at), AgentEvent: &flowpb.AgentEvent{Type: flowpb.AgentEventType_AGENT_STARTED},
		})
	}, func() error { return nil })
}

// add has flows happen.
func (n *node) add(times ...time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.times = append(n.times, times...)
	close(n.changed)
	n.changed = make(chan struct{})
}

func (n *node) response(at time.Time) *observerpb.GetFlowsResponse {
	return &observerpb.GetFlowsResponse{
		NodeName: n.name, Time: timestamppb.New(at),
		ResponseTypes: &observerpb.GetFlowsResponse_Flow{Flow: &flowpb.Flow{
			Time: timestamppb.New(at), NodeName: n.name, Uuid: strings.Repeat("x", n.pad),
		}},
	}
}

// tell calls send for what a request asks for.
func (n *node) tell(ctx context.Context, req *observerpb.GetFlowsRequest, send func(time.Time) error, idle func() error) error {
	if n.fail != nil {
		return n.fail
	}
	n.mu.Lock()
	n.asked = append(n.asked, req)
	from, to := 0, len(n.times)
	n.mu.Unlock()
	number := int(req.GetNumber())
	switch {
	case req.GetSince() != nil:
	case req.GetFirst():
		to = min(to, number)
	case number > 0 || req.GetFollow():
		from = max(0, to-number)
	}
	for {
		n.mu.Lock()
		if req.GetFollow() {
			to = len(n.times)
		}
		some, changed := n.times[from:to], n.changed
		n.mu.Unlock()
		for _, at := range some {
			if at.Before(req.GetSince().AsTime()) && req.GetSince() != nil {
				continue
			}
			if req.GetUntil() != nil && at.After(req.GetUntil().AsTime()) {
				return nil
			}
			if err := send(at); err != nil {
				return err
			}
		}
		from = to
		if !req.GetFollow() {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		case <-time.After(20 * time.Millisecond):
			if err := idle(); err != nil {
				return err
			}
		}
	}
}

func (n *node) GetFlows(req *observerpb.GetFlowsRequest, stream grpc.ServerStreamingServer[observerpb.GetFlowsResponse]) error {
	if err := stream.SendHeader(header()); err != nil {
		return err
	}
	return n.tell(stream.Context(), req, func(at time.Time) error { return stream.Send(n.response(at)) }, func() error { return nil })
}

func (n *node) ServerStatus(context.Context, *observerpb.ServerStatusRequest) (*observerpb.ServerStatusResponse, error) {
	if n.fail != nil {
		return nil, n.fail
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return &observerpb.ServerStatusResponse{NumFlows: uint64(len(n.times)), MaxFlows: 100, SeenFlows: 1000, UptimeNs: 7, FlowsRate: 0.5}, nil
}

func (n *node) GetNamespaces(context.Context, *observerpb.GetNamespacesRequest) (*observerpb.GetNamespacesResponse, error) {
	return &observerpb.GetNamespacesResponse{Namespaces: []*observerpb.Namespace{{Namespace: "shop"}, {Namespace: n.name}}}, nil
}

type batches struct {
	foveapb.UnimplementedBatchesServer
	n *node
}

func (b batches) GetFlows(req *observerpb.GetFlowsRequest, stream grpc.ServerStreamingServer[foveapb.Batch]) error {
	if b.n.garbage {
		return stream.Send(&foveapb.Batch{Responses: []byte("garbage"), Sizes: []uint32{70}, Times: []int64{1}})
	}
	if err := stream.SendHeader(header()); err != nil {
		return err
	}
	if err := stream.Send(&foveapb.Batch{}); err != nil {
		return err
	}
	return b.n.tell(stream.Context(), req, func(at time.Time) error {
		m, err := proto.Marshal(b.n.response(at))
		if err != nil {
			return status.Error(codes.Internal, fmt.Sprint(err))
		}
		return stream.Send(&foveapb.Batch{Responses: m, Sizes: []uint32{uint32(len(m))}, Times: []int64{at.UnixNano()}})
	}, func() error {
		return stream.Send(&foveapb.Batch{Watermark: time.Now().Add(-20 * time.Millisecond).UnixNano()})
	})
}
