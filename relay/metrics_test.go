package relay

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	foveapb "github.com/fovea-obs/fovea/proto/v1"
)

// teller is a node that has seen two flows, and has lost three. To who follows it tells
// one more, of that time.
type teller struct {
	observerpb.UnimplementedObserverServer
	name string
}

func (n *teller) responses(follow bool) []*observerpb.GetFlowsResponse {
	flow := &observerpb.GetFlowsResponse_Flow{Flow: &flowpb.Flow{NodeName: n.name}}
	lost := &observerpb.GetFlowsResponse_LostEvents{LostEvents: &flowpb.LostEvent{NumEventsLost: 3}}
	before := time.Now().Add(-time.Hour)
	all := []*observerpb.GetFlowsResponse{
		{NodeName: n.name, Time: timestamppb.New(before), ResponseTypes: flow},
		{NodeName: n.name, Time: timestamppb.New(before), ResponseTypes: flow},
		{NodeName: n.name, Time: timestamppb.New(before), ResponseTypes: lost},
	}
	if follow {
		all = append(all, &observerpb.GetFlowsResponse{NodeName: n.name, Time: timestamppb.Now(), ResponseTypes: flow})
	}
	return all
}

func (n *teller) GetFlows(req *observerpb.GetFlowsRequest, stream grpc.ServerStreamingServer[observerpb.GetFlowsResponse]) error {
	for _, r := range n.responses(req.GetFollow()) {
		if err := stream.Send(r); err != nil {
			return err
		}
	}
	return wait(stream.Context(), req)
}

func wait(ctx context.Context, req *observerpb.GetFlowsRequest) error {
	if req.GetFollow() {
		<-ctx.Done()
	}
	return nil
}

// inBatches is the same as an agent of ours.
type inBatches struct {
	foveapb.UnimplementedBatchesServer
	teller
}

func (n *inBatches) GetFlows(req *observerpb.GetFlowsRequest, stream grpc.ServerStreamingServer[foveapb.Batch]) error {
	all, last := &foveapb.Batch{}, int64(0)
	for _, r := range n.responses(req.GetFollow()) {
		b, err := proto.Marshal(r)
		if err != nil {
			return status.Error(codes.Internal, err.Error())
		}
		at := r.GetTime().AsTime().UnixNano()
		all.Responses = append(all.Responses, b...)
		all.Sizes, all.Times = append(all.Sizes, uint32(len(b))), append(all.Times, at-last)
		last = at
	}
	if err := stream.Send(all); err != nil {
		return err
	}
	return wait(stream.Context(), req)
}

// serveNode returns where a node serves, until the test ends.
func serveNode(t *testing.T, register func(*grpc.Server)) (address string) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "node.sock")
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server, done := grpc.NewServer(), make(chan error, 1)
	register(server)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return "unix://" + socket
}

// scrape returns what a relay tells Prometheus, once it tells all that is wanted.
func scrape(t *testing.T, address string, want ...string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	text := ""
	for missing := want; ; {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := client.Do(req); err == nil {
			b, err := io.ReadAll(r.Body)
			r.Body.Close()
			if err != nil || r.StatusCode != http.StatusOK {
				t.Fatalf("%s: %v", r.Status, err)
			}
			text, missing = string(b), nil
			for _, w := range want {
				if !strings.Contains(text, "\n"+w+"\n") {
					missing = append(missing, w)
				}
			}
		}
		if len(missing) == 0 {
			return
		}
		// Nobody tells when a count is there.
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("there is no\n%s\nin\n%s", strings.Join(missing, "\n"), text)
		}
	}
}

// TestMetrics has a relay ask a node that tells batches, one that does not and one that
// is away, and says what of that it tells Prometheus.
func TestMetrics(t *testing.T) {
	batched := serveNode(t, func(s *grpc.Server) {
		n := &inBatches{teller: teller{name: "batched"}}
		observerpb.RegisterObserverServer(s, &n.teller)
		foveapb.RegisterBatchesServer(s, n)
	})
	plain := serveNode(t, func(s *grpc.Server) { observerpb.RegisterObserverServer(s, &teller{name: "plain"}) })
	cfg := DefaultConfig("relay")
	cfg.ListenAddress, cfg.HealthListenAddress, cfg.MetricsListenAddress = freeAddress(t), freeAddress(t), freeAddress(t)
	cfg.DisableClientTLS, cfg.DisableServerTLS = true, true
	cfg.Peers = []string{"batched=" + batched, "plain=" + plain, "away=unix://" + filepath.Join(t.TempDir(), "none.sock")}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, cfg, slog.New(slog.DiscardHandler)) }()
	conn, err := grpc.NewClient("passthrough:///"+cfg.ListenAddress, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	client := observerpb.NewObserverClient(conn)
	scrape(t, cfg.MetricsListenAddress,
		`fovea_relay_peers{state="connected"} 2`, `fovea_relay_peers{state="unavailable"} 1`,
		`fovea_relay_streams 0`, `fovea_relay_flows_forwarded_total{peer="batched"} 0`, `fovea_relay_follow_lag_seconds_count 0`)

	ask := func(req *observerpb.GetFlowsRequest) (end context.CancelFunc) {
		ctx, end := context.WithCancel(t.Context())
		stream, err := client.GetFlows(ctx, req, grpc.WaitForReady(true))
		if err != nil {
			t.Fatal(err)
		}
		for {
			r, err := stream.Recv()
			if err != nil && !req.GetFollow() {
				return end
			}
			if err != nil {
				t.Fatal(err)
			}
			if req.GetFollow() && time.Since(r.GetTime().AsTime()) < time.Minute && r.GetFlow() != nil {
				return end
			}
		}
	}
	// What is held back until it is known to be the newest is of either node, too.
	ask(&observerpb.GetFlowsRequest{Number: 100})()
	scrape(t, cfg.MetricsListenAddress,
		`fovea_relay_flows_forwarded_total{peer="batched"} 2`, `fovea_relay_flows_forwarded_total{peer="plain"} 2`,
		`fovea_relay_flows_lost_total{peer="batched"} 3`, `fovea_relay_flows_lost_total{peer="plain"} 3`,
		`fovea_relay_batches_received_total{peer="batched"} 1`, `fovea_relay_batches_received_total{peer="plain"} 3`,
		`fovea_relay_streams 0`, `fovea_relay_follow_lag_seconds_count 0`,
		`grpc_server_handled_total{grpc_code="OK",grpc_method="GetFlows",grpc_service="observer.Observer",grpc_type="server_stream"} 1`)

	end := ask(&observerpb.GetFlowsRequest{Follow: true})
	defer end()
	scrape(t, cfg.MetricsListenAddress,
		`fovea_relay_flows_forwarded_total{peer="batched"} 5`, `fovea_relay_flows_forwarded_total{peer="plain"} 5`,
		`fovea_relay_batches_received_total{peer="batched"} 2`, `fovea_relay_batches_received_total{peer="plain"} 7`,
		`fovea_relay_streams 1`, `fovea_relay_follow_lag_seconds_count 2`, `fovea_relay_follow_lag_seconds_bucket{le="10"} 2`)
	end()
	scrape(t, cfg.MetricsListenAddress, `fovea_relay_streams 0`,
		`grpc_server_handled_total{grpc_code="Canceled",grpc_method="GetFlows",grpc_service="observer.Observer",grpc_type="server_stream"} 1`)
}
