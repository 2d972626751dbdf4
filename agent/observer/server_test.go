package observer_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/fovea-obs/fovea/agent/dns"
	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/fate"
	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/agent/mac"
	"github.com/fovea-obs/fovea/agent/observer"
	"github.com/fovea-obs/fovea/agent/policy"
	"github.com/fovea-obs/fovea/agent/service"
	"github.com/fovea-obs/fovea/internal/rpc"
	foveapb "github.com/fovea-obs/fovea/proto/v1"
)

// serve serves an observer over a history on a unix socket, until stop is called
// or the test ends.
func serve(t *testing.T, h *history.History) (address string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	address = "unix://" + filepath.Join(t.TempDir(), "run", "hubble.sock")
	listener, err := rpc.Listen(ctx, address)
	if err != nil {
		t.Fatal(err)
	}
	server := rpc.New(rpc.Config{Header: metadata.Pairs(rpc.ServerVersion, "0.1.0")})
	endpoints := endpoint.NewTable("prod")
	obs := observer.New(observer.Config{
		History: h, Endpoints: endpoints, Services: service.NewTable("prod", endpoints),
		Names: dns.NewTable(), Fates: fate.NewTable(), MACs: mac.NewTable(), Policies: policy.NewTable(endpoints),
		NodeName: "node-1", Cluster: "prod", Version: "0.1.0", Started: time.Now(),
	})
	observerpb.RegisterObserverServer(server, obs)
	foveapb.RegisterBatchesServer(server, obs.Batches())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return address, cancel
}

// dial serves an observer over a history, and returns a client.
func dial(t *testing.T, h *history.History) (client observerpb.ObserverClient, stop func()) {
	t.Helper()
	conn, stop := connect(t, h)
	return observerpb.NewObserverClient(conn), stop
}

func connect(t *testing.T, h *history.History) (conn *grpc.ClientConn, stop func()) {
	t.Helper()
	address, stop := serve(t, h)
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return conn, stop
}

// TestOverSocket follows over a real connection, until the server stops.
func TestOverSocket(t *testing.T) {
	h, err := history.New(history.MinSize)
	if err != nil {
		t.Fatal(err)
	}
	client, stop := dial(t, h)
	stream, err := client.GetFlows(t.Context(), &observerpb.GetFlowsRequest{Follow: true, Number: 1})
	if err != nil {
		t.Fatal(err)
	}
	// The header comes before there is any flow, so the call is being served.
	header, err := stream.Header()
	if err != nil || header.Get(rpc.ServerVersion)[0] != "0.1.0" {
		t.Fatalf("header %v, %v", header, err)
	}
	h.Append(&history.Record{Time: time.Now().UnixNano(), Kind: history.KindTrace})
	h.Notify()
	r, err := stream.Recv()
	if err != nil || r.GetFlow() == nil || r.GetNodeName() != "prod/node-1" {
		t.Fatalf("got %v, %v", r, err)
	}
	stop()
	if _, err := stream.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("ended with %v, want Unavailable", err)
	}
}

func TestErrorsOverSocket(t *testing.T) {
	h, err := history.New(history.MinSize)
	if err != nil {
		t.Fatal(err)
	}
	client, _ := dial(t, h)
	stream, err := client.GetFlows(t.Context(), &observerpb.GetFlowsRequest{Follow: true, First: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.InvalidArgument {
		t.Errorf("got %v, want InvalidArgument", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stream, err = client.GetFlows(ctx, &observerpb.GetFlowsRequest{Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := stream.Recv(); status.Code(err) != codes.Canceled {
		t.Errorf("got %v, want Canceled", err)
	}
}
