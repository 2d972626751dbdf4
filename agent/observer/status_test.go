package observer

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/history"
)

// TestRate has a flow every second, and asks at different times.
func TestRate(t *testing.T) {
	for name, c := range map[string]struct {
		flows        int
		started, now int64
		want         float64
	}{
		"no flows":                 {0, 0, 100, 0},
		"a steady minute":          {200, 0, 200, 1},
		"half a minute of silence": {200, 0, 230, 0.5},
		"silence":                  {200, 0, 300, 0},
		"a start 10 s ago":         {200, 190, 200, 1},
		"a start just now":         {0, 100, 100, 0},
		"a clock before the start": {0, 100, 90, 0},
		"a ring that holds less":   {2*history.ChunkSize + 1, 0, 2*history.ChunkSize + 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.fill(c.flows)
			f.config.Started = time.Unix(c.started, 0)
			f.config.Now = func() time.Time { return time.Unix(c.now, 0) }
			f.restart()
			r, err := f.server.ServerStatus(context.Background(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if math.Abs(r.GetFlowsRate()-c.want) > 0.2*c.want {
				t.Errorf("got %g flows a second, want about %g", r.GetFlowsRate(), c.want)
			}
		})
	}
}

// TestRateOfOverwritten has more flows in a minute than the ring holds.
func TestRateOfOverwritten(t *testing.T) {
	f := newFixture(t)
	const perSecond = 1000
	for i := range int64(2*history.ChunkSize + 1) {
		f.history.Append(&history.Record{Kind: history.KindTrace, Time: i * int64(time.Second) / perSecond})
	}
	f.config.Now = func() time.Time { return time.Unix(0, 2*history.ChunkSize*int64(time.Second)/perSecond) }
	f.restart()
	r, err := f.server.ServerStatus(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(r.GetFlowsRate()-perSecond) > 1 {
		t.Errorf("got %g flows a second, want %d", r.GetFlowsRate(), perSecond)
	}
}

func TestDegraded(t *testing.T) {
	f := newFixture(t)
	f.config.Degraded = func() []string { return []string{"no drop events", "stale endpoints"} }
	f.restart()
	const want = "0.1.0 (degraded: no drop events, stale endpoints)"
	r, err := f.server.ServerStatus(context.Background(), nil)
	if err != nil || r.GetVersion() != want {
		t.Errorf("status: version %q, %v", r.GetVersion(), err)
	}
	nodes, err := f.server.GetNodes(context.Background(), nil)
	if err != nil || nodes.GetNodes()[0].GetVersion() != want {
		t.Errorf("nodes: %v, %v", nodes, err)
	}
}

func TestNodeWithTLS(t *testing.T) {
	f := newFixture(t)
	f.config.TLS, f.config.Cluster = true, "default"
	f.restart()
	r, err := f.server.GetNodes(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	node := r.GetNodes()[0]
	if node.GetName() != "node-1.example.com" || !node.GetTls().GetEnabled() ||
		node.GetTls().GetServerName() != "node-1-example-com.default.hubble-grpc.cilium.io" {
		t.Errorf("got %v", node)
	}
}

func TestUnimplemented(t *testing.T) {
	f := newFixture(t)
	for _, err := range []error{f.server.GetAgentEvents(nil, nil), f.server.GetDebugEvents(nil, nil)} {
		if status.Code(err) != codes.Unimplemented {
			t.Errorf("got %v", err)
		}
	}
}

// names lists namespaces as cluster/namespace.
func (f *fixture) names(t *testing.T) []string {
	t.Helper()
	r, err := f.server.GetNamespaces(context.Background(), &observerpb.GetNamespacesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, n := range r.GetNamespaces() {
		out = append(out, n.GetCluster()+"/"+n.GetNamespace())
	}
	return out
}

// TestNamespaces has some that are seen, and forgotten an hour later.
func TestNamespaces(t *testing.T) {
	f := newFixture(t)
	for _, name := range []string{"b/x", "a/x", "b/y", "never/x"} {
		f.pod(name, "192.0.2.1", endpoint.Workload{}, nil)
	}
	other := uint32(f.endpoints.Intern(endpoint.ForPod("default", "z", "x", nil, nil)))
	f.write(t, "udp b/x:1 -> b/y:2", "udp b/x:1 -> 192.0.2.9:2")
	f.append(history.Record{Kind: history.KindTrace, Source: other})
	if diff := cmp.Diff([]string{"/z", "prod/b"}, f.names(t)); diff != "" {
		t.Error(diff)
	}
	f.written.Add(3500)
	f.write(t, "udp a/x:1 -> 192.0.2.9:2")
	if diff := cmp.Diff([]string{"/z", "prod/a", "prod/b"}, f.names(t)); diff != "" {
		t.Error(diff)
	}
	f.written.Add(100)
	if diff := cmp.Diff([]string{"prod/a"}, f.names(t)); diff != "" {
		t.Error(diff)
	}
}

// TestRun has namespaces that are known though their flows were overwritten.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.pod("early/x", "192.0.2.1", endpoint.Workload{}, nil)
		f.pod("later/x", "192.0.2.1", endpoint.Workload{}, nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- f.server.Run(ctx) }()
		synctest.Wait()
		f.write(t, "udp early/x:1 -> 192.0.2.9:2")
		time.Sleep(trackEvery)
		synctest.Wait()
		f.write(t, "udp later/x:1 -> 192.0.2.9:2")
		time.Sleep(trackEvery)
		synctest.Wait()
		// Too fast to be read by the way.
		for range 2*history.ChunkSize + 1 {
			f.append(history.Record{Kind: history.KindTrace})
		}
		f.written.Store(10)
		if diff := cmp.Diff([]string{"prod/early", "prod/later"}, f.names(t)); diff != "" {
			t.Error(diff)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
