package e2e

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	relaypb "github.com/cilium/cilium/api/v1/relay"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/fovea-obs/fovea/hack/lab"
	"github.com/fovea-obs/fovea/hack/process"
)

// federation is a relay over the agents of two nodes, on which something happened.
type federation struct {
	*shop
	relay *process.Agent
	nodes map[string]*process.Agent
	// metrics is the unix socket at which the relay tells them.
	metrics string
}

// newFederation gives the agents more options.
func newFederation(t *testing.T, args ...string) *federation {
	t.Helper()
	f := &federation{shop: newShopWithoutServices(t), nodes: map[string]*process.Agent{}}
	f.serve(t)
	for _, n := range []*lab.Node{f.near, f.far} {
		f.nodes[n.Name] = startAgent(t, f.agentConfig(t, n, args...))
	}
	f.metrics = filepath.Join(t.TempDir(), "metrics.sock")
	f.relay = startRelay(t, f.lab.Fabric(), f.peers(), "--metrics-listen-address", "unix://"+f.metrics)
	return f
}

// peers are the agents, as a relay is told of them.
func (f *federation) peers() (list []string) {
	for name, a := range f.nodes {
		list = append(list, name+"=unix://"+a.Socket)
	}
	return list
}

// clients ask the agents.
func (f *federation) clients() (list []observerpb.ObserverClient) {
	for _, a := range f.nodes {
		list = append(list, a.Client)
	}
	return list
}

// startRelay starts a relay that ends in good order with the test, with more options, in a
// network namespace, or in that of this process if ns is nil.
func startRelay(t *testing.T, ns *lab.Namespace, peers []string, args ...string) *process.Agent {
	t.Helper()
	r, err := process.StartRelay(testContext(t), os.Getenv(programVariable), ns, t.TempDir(), peers, logOf(t, "the relay"), args...)
	check(t, err)
	closeLater(t, r.Stop)
	return r
}

// metric is one that the relay tells, by its name and labels.
func (f *federation) metric(t *testing.T, name string) float64 {
	t.Helper()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", f.metrics)
		},
	}}
	req, err := http.NewRequestWithContext(testContext(t), http.MethodGet, "http://relay/metrics", nil)
	check(t, err)
	r, err := client.Do(req)
	check(t, err)
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	check(t, err)
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+" "); ok {
			v, err := strconv.ParseFloat(value, 64)
			check(t, err)
			return v
		}
	}
	t.Fatalf("there is no %s", name)
	return 0
}

// talk makes connections between the nodes, one after the other.
func (f *federation) talk(t *testing.T, connections int) {
	t.Helper()
	ctx := testContext(t)
	for range connections {
		_, err := lab.TCPLoad{Target: netip.AddrPortFrom(f.db.IPv4, 80), Bytes: 100}.Run(ctx, f.client.NS)
		check(t, err)
	}
}

// settle returns a time of which all agents have told all that was before.
func (f *federation) settle(t *testing.T) time.Time {
	t.Helper()
	at := time.Now()
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	var streams []grpc.ServerStreamingClient[observerpb.GetFlowsResponse]
	for _, a := range f.nodes {
		s, err := a.Client.GetFlows(ctx, &observerpb.GetFlowsRequest{Follow: true, Since: timestamppb.New(at)})
		check(t, err)
		streams = append(streams, s)
	}
	f.talk(t, 1)
	for _, s := range streams {
		_, err := s.Recv()
		check(t, err)
	}
	return at
}

// nextFlow is the next flow of a request that follows.
func nextFlow(t *testing.T, stream grpc.ServerStreamingClient[observerpb.GetFlowsResponse]) *observerpb.GetFlowsResponse {
	t.Helper()
	for {
		r, err := stream.Recv()
		check(t, err)
		if r.GetFlow() != nil {
			return r
		}
	}
}

// toPort80 are the flows of what clients of port 80 send.
func toPort80() []*flowpb.FlowFilter {
	return []*flowpb.FlowFilter{{DestinationPort: []string{"80"}, Reply: []bool{false}}}
}

// all reads what a request is answered with, until its end: flows, and what is none.
func all(t *testing.T, c observerpb.ObserverClient, req *observerpb.GetFlowsRequest) (flows, others []*observerpb.GetFlowsResponse) {
	t.Helper()
	stream, err := c.GetFlows(testContext(t), req)
	check(t, err)
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return flows, others
		}
		check(t, err)
		if r.GetFlow() != nil {
			flows = append(flows, r)
		} else {
			others = append(others, r)
		}
	}
}

func byTime(a, b *observerpb.GetFlowsResponse) int {
	return a.GetTime().AsTime().Compare(b.GetTime().AsTime())
}

// TestRelay compares what a relay tells with what the agents do.
func TestRelay(t *testing.T) {
	f := newFederation(t)
	f.talk(t, 50)
	until := f.settle(t)
	forwarded := 0.0
	for name, req := range map[string]*observerpb.GetFlowsRequest{
		"all":   {},
		"last":  {Number: 20},
		"first": {Number: 20, First: true},
		"one":   {Number: 1},
		"some":  {Whitelist: toPort80()},
		"few fields": {
			Number: 7, FieldMask: &fieldmaskpb.FieldMask{Paths: []string{"uuid", "source.pod_name"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			req.Until = timestamppb.New(until)
			got, statuses := all(t, f.relay.Client, req)
			forwarded += float64(len(got))
			same(t, (&mixed{ours: f.clients(), until: until}).answer(t, req), got)
			if len(got) == 0 {
				t.Error("no flows")
			}
			if len(statuses) != 2 || statuses[0].GetNodeStatus().GetStateChange() != relaypb.NodeState_NODE_CONNECTED {
				t.Errorf("node statuses %v", statuses)
			}
		})
	}
	t.Run("other calls", func(t *testing.T) {
		status, err := f.relay.Client.ServerStatus(testContext(t), &observerpb.ServerStatusRequest{})
		check(t, err)
		if status.GetNumConnectedNodes().GetValue() != 2 || status.GetNumUnavailableNodes().GetValue() != 0 || status.GetNumFlows() == 0 {
			t.Errorf("status %v", status)
		}
		nodes, err := f.relay.Client.GetNodes(testContext(t), &observerpb.GetNodesRequest{})
		check(t, err)
		if n := nodes.GetNodes(); len(n) != 2 || n[0].GetName() != f.near.Name || n[0].GetState() != relaypb.NodeState_NODE_CONNECTED || n[0].GetSeenFlows() == 0 {
			t.Errorf("nodes %v", nodes)
		}
		namespaces, err := f.relay.Client.GetNamespaces(testContext(t), &observerpb.GetNamespacesRequest{})
		check(t, err)
		if n := namespaces.GetNamespaces(); len(n) != 1 || n[0].GetNamespace() != "shop" {
			t.Errorf("namespaces %v", namespaces)
		}
	})
	t.Run("metrics", func(t *testing.T) {
		for name, want := range map[string]float64{
			`fovea_relay_flows_forwarded_total{peer="batched"}`: forwarded, `fovea_relay_flows_forwarded_total{peer="plain"}`: 0,
			`fovea_relay_peers{state="connected"}`: 2, `fovea_relay_peers{state="unavailable"}`: 0,
		} {
			if got := f.metric(t, name); got != want {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
	})
}

// TestRelayFollows has flows of two nodes come in order, soon after they were.
func TestRelayFollows(t *testing.T) {
	f := newFederation(t)
	f.talk(t, 10)
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	stream, err := f.relay.Client.GetFlows(ctx, &observerpb.GetFlowsRequest{Number: 5, Follow: true})
	check(t, err)
	var got []*observerpb.GetFlowsResponse
	next := func() *observerpb.GetFlowsResponse {
		got = append(got, nextFlow(t, stream))
		return got[len(got)-1]
	}
	for range 5 {
		next()
	}
	begun := time.Now()
	f.talk(t, 1)
	seen := map[string]bool{}
	for len(seen) < 2 {
		if r := next(); r.GetTime().AsTime().After(begun) {
			seen[r.GetNodeName()] = true
		}
	}
	if took := time.Since(begun); took > time.Second {
		t.Errorf("flows of both nodes were there after %v", took)
	}
	if !slices.IsSortedFunc(got, byTime) {
		t.Error("flows are not in order")
	}
}
