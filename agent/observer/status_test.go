package observer

import (
	"context"
	"math"
	"testing"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	relaypb "github.com/cilium/cilium/api/v1/relay"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/agent/peer"
	"github.com/fovea-obs/fovea/internal/nodename"
)

// TestRate has a flow every second, after events that were lost in each of so
// many seconds, and asks at different times.
func TestRate(t *testing.T) {
	const ring = 2*history.ChunkSize + 1
	for name, c := range map[string]struct {
		lost, flows  int
		started, now int64
		want         float64
	}{
		"no flows":                  {0, 0, 0, 100, 0},
		"a steady minute":           {0, 200, 0, 200, 1},
		"half a minute of silence":  {0, 200, 0, 230, 0.5},
		"silence":                   {0, 200, 0, 300, 0},
		"a start 10 s ago":          {0, 200, 190, 200, 1},
		"a start just now":          {0, 0, 100, 100, 0},
		"a flow right at the start": {0, 100, 100, 100, 1},
		"a clock before the start":  {0, 0, 100, 90, 0},
		"a ring that holds less":    {0, ring, 0, ring, 1},
		"the same, then silence":    {0, ring, 0, ring + 100, 0},
		"losses alone":              {200, 0, 0, 200, 0},
		"half a minute of losses":   {200, 30, 0, 230, 0.5},
		"a ring full of losses":     {ring, 30, 0, ring + 30, 0.5},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.lose(c.lost)
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

// lose appends so many records of lost events.
func (f *fixture) lose(n int) {
	for range n {
		f.append(history.Record{Kind: history.KindLost, Packets: 1000})
	}
	f.history.Notify()
}

// TestRateOfOverwritten has more flows in a minute than the ring holds, 1,000 a
// second and as many losses, and asks at times after that.
func TestRateOfOverwritten(t *testing.T) {
	f := newFixture(t)
	const step, records = time.Millisecond / 2, 2*history.ChunkSize + 1
	for i := range records {
		r := history.Record{Kind: history.KindTrace, Time: int64(i * int(step))}
		if i%2 == 1 {
			r.Kind = history.KindLost
		}
		f.history.Append(&r)
	}
	const end = records * step
	const held = (records - history.ChunkSize) * step
	for after, want := range map[time.Duration]float64{
		0: 1000, held: 500, 9 * held: 100, time.Minute: 0, time.Hour: 0,
	} {
		f.config.Now = func() time.Time { return time.Unix(0, int64(end+after)) }
		f.restart()
		r, err := f.server.ServerStatus(context.Background(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(r.GetFlowsRate()-want) > want/100 {
			t.Errorf("%v after the last: %g flows a second, want %g", after, r.GetFlowsRate(), want)
		}
	}
}

// TestCounts has flows and losses, and what status and nodes tell of them.
func TestCounts(t *testing.T) {
	const chunk = history.ChunkSize
	type counts struct{ held, seen, most uint64 }
	for name, c := range map[string]struct {
		flows, lost, more int
		want              counts
	}{
		"nothing":                 {0, 0, 0, counts{0, 0, chunk}},
		"flows":                   {5, 0, 0, counts{5, 5, chunk}},
		"losses":                  {0, 5, 0, counts{0, 0, chunk}},
		"both":                    {5, 7, 3, counts{8, 8, chunk}},
		"a full chunk":            {chunk, 0, 0, counts{chunk, chunk, chunk}},
		"more than always":        {chunk + 5, 0, 0, counts{chunk, chunk + 5, chunk}},
		"a full ring":             {2 * chunk, 0, 0, counts{chunk, 2 * chunk, chunk}},
		"one more":                {2*chunk + 1, 0, 0, counts{chunk, 2*chunk + 1, chunk}},
		"losses overwritten":      {5, chunk, 2 * chunk, counts{chunk, 2*chunk + 5, chunk}},
		"flows overwritten":       {2 * chunk, 2 * chunk, 5, counts{5, 2*chunk + 5, chunk}},
		"the oldest chunk is all": {chunk, 2 * chunk, 0, counts{0, chunk, chunk}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.fill(c.flows)
			f.lose(c.lost)
			f.fill(c.more)
			r, err := f.server.ServerStatus(context.Background(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := (counts{r.GetNumFlows(), r.GetSeenFlows(), r.GetMaxFlows()}); got != c.want {
				t.Errorf("status: %+v, want %+v", got, c.want)
			}
			nodes, err := f.server.GetNodes(context.Background(), nil)
			if err != nil {
				t.Fatal(err)
			}
			n := nodes.GetNodes()[0]
			if got := (counts{n.GetNumFlows(), n.GetSeenFlows(), n.GetMaxFlows()}); got != c.want {
				t.Errorf("nodes: %+v, want %+v", got, c.want)
			}
		})
	}
}

// TestCountsWhileWritten asks while the writer goes round the ring, where every
// second record is a loss.
func TestCountsWhileWritten(t *testing.T) {
	f := newFixture(t)
	const records = 40 * history.ChunkSize
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range records {
			f.append(history.Record{Kind: []history.Kind{history.KindTrace, history.KindLost}[i%2]})
		}
	}()
	last := uint64(0)
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		r, err := f.server.ServerStatus(context.Background(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if r.GetSeenFlows() < last || r.GetNumFlows() > r.GetMaxFlows() || r.GetFlowsRate() < 0 ||
			r.GetFlowsRate() > history.ChunkSize {
			t.Fatalf("after %d flows: %v", last, r)
		}
		last = r.GetSeenFlows()
	}
	if last != records/2 {
		t.Errorf("%d flows seen, want %d", last, records/2)
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

// TestOtherNodes has nodes that a source told of.
func TestOtherNodes(t *testing.T) {
	f := newFixture(t)
	f.config.TLS = true
	f.config.Peers = peer.NewNodes(nodename.Name(f.config.Cluster, f.config.NodeName), "192.0.2.1", false)
	f.config.Peers.Set(map[string]string{"prod/node-2.example.com": "192.0.2.2:4250"})
	f.restart()
	r, err := f.server.GetNodes(context.Background(), nil)
	if err != nil || len(r.GetNodes()) != 2 {
		t.Fatalf("got %v, %v", r, err)
	}
	want := &observerpb.Node{
		Name: "prod/node-2.example.com", Address: "192.0.2.2:4250",
		Tls: &observerpb.TLS{Enabled: true, ServerName: "node-2-example-com.prod.hubble-grpc.cilium.io"},
	}
	if diff := cmp.Diff(want, r.GetNodes()[1], protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	if n := r.GetNodes()[0]; n.GetName() != "prod/node-1.example.com" || n.GetState() != relaypb.NodeState_NODE_CONNECTED {
		t.Errorf("first comes %v", n)
	}
}
