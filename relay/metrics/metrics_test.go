package metrics

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	relaypb "github.com/cilium/cilium/api/v1/relay"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/fovea-obs/fovea/relay/peers"
)

// client asks a server that serve started.
type client struct {
	http.Client
	url string
}

// serve serves m until stop is called, which returns how that ended.
func serve(t *testing.T, m *Metrics) (c *client, stop func() error) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Serve(ctx, l) }()
	c = &client{http.Client{Transport: &http.Transport{}}, "http://" + l.Addr().String()}
	return c, func() error {
		cancel()
		c.CloseIdleConnections()
		return <-done
	}
}

func (c *client) get(t *testing.T, path string) (code int, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

func newMetrics(t *testing.T, p *peers.Peers) *Metrics {
	t.Helper()
	m, err := New(p, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func response(t testing.TB, r *observerpb.GetFlowsResponse) []byte {
	t.Helper()
	r.NodeName, r.Time = "node1", timestamppb.Now()
	b, err := proto.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func flow(t testing.TB) []byte {
	return response(t, &observerpb.GetFlowsResponse{ResponseTypes: &observerpb.GetFlowsResponse_Flow{Flow: &flowpb.Flow{NodeName: "node1"}}})
}

func lost(t testing.TB, n uint64) []byte {
	return response(t, &observerpb.GetFlowsResponse{ResponseTypes: &observerpb.GetFlowsResponse_LostEvents{
		LostEvents: &flowpb.LostEvent{Source: flowpb.LostEventSource_HUBBLE_RING_BUFFER, NumEventsLost: n},
	}})
}

func TestRead(t *testing.T) {
	for name, tt := range map[string]struct {
		response []byte
		isFlow   bool
		lost     uint64
	}{
		"a flow":          {flow(t), true, 0},
		"a flow at first": {[]byte{responseFlow<<3 | 2, 0, 0xff}, true, 0},
		"lost":            {lost(t, 1<<40), false, 1 << 40},
		"none lost":       {lost(t, 0), false, 0},
		"a node's state": {response(t, &observerpb.GetFlowsResponse{
			ResponseTypes: &observerpb.GetFlowsResponse_NodeStatus{NodeStatus: &relaypb.NodeStatusEvent{Message: "m"}}}), false, 0},
		"a node alone": {response(t, &observerpb.GetFlowsResponse{}), false, 0},
		"nothing":      {},
		"cut":          {lost(t, 1<<40)[:4], false, 0},
		"rubbish":      {[]byte{0xff}, false, 0},
	} {
		if isFlow, lost := read(tt.response); isFlow != tt.isFlow || lost != tt.lost {
			t.Errorf("%s: a flow %v, lost %d", name, isFlow, lost)
		}
	}
}

// FuzzRead reads any bytes, as a node may send. What a library writes is read the same.
func FuzzRead(f *testing.F) {
	f.Add(flow(f))
	f.Add(lost(f, 7))
	f.Fuzz(func(t *testing.T, b []byte) {
		var want observerpb.GetFlowsResponse
		isFlow, lost := read(b)
		if proto.Unmarshal(b, &want) != nil {
			return
		}
		if again, err := proto.Marshal(&want); err != nil || !slices.Equal(again, b) || len(want.ProtoReflect().GetUnknown()) > 0 {
			return
		}
		if isFlow != (want.GetFlow() != nil) || lost != want.GetLostEvents().GetNumEventsLost() {
			t.Errorf("%v: a flow %v, lost %d", &want, isFlow, lost)
		}
	})
}

func TestFlows(t *testing.T) {
	m := newMetrics(t, peers.New(nil, time.Second))
	c, stop := serve(t, m)
	f := m.Flows
	f.Received(Batched, 1000)
	f.Received(Plain, 100)
	f.Received(Plain, 100)
	for range 3 {
		f.Forwarded(Batched, flow(t))
	}
	f.Forwarded(Plain, flow(t))
	f.Forwarded(Batched, lost(t, 5))
	f.Forwarded(Plain, response(t, &observerpb.GetFlowsResponse{}))
	f.Lost(Plain, 2)
	closed := f.Opened()
	f.Opened()
	closed()
	f.Followed(time.Now().Add(-120 * time.Millisecond))
	f.Followed(time.Now().Add(time.Hour)) // a clock that is ahead
	_, text := c.get(t, "/metrics")
	for _, want := range []string{
		`fovea_relay_batches_received_total{peer="batched"} 1`,
		`fovea_relay_batches_received_total{peer="plain"} 2`,
		`fovea_relay_bytes_received_total 1200`,
		`fovea_relay_flows_forwarded_total{peer="batched"} 3`,
		`fovea_relay_flows_forwarded_total{peer="plain"} 1`,
		`fovea_relay_flows_lost_total{peer="batched"} 5`,
		`fovea_relay_flows_lost_total{peer="plain"} 2`,
		`fovea_relay_streams 1`,
		`fovea_relay_follow_lag_seconds_bucket{le="0.005"} 1`,
		`fovea_relay_follow_lag_seconds_bucket{le="0.1"} 1`,
		`fovea_relay_follow_lag_seconds_count 2`,
		`fovea_relay_peers{state="connected"} 0`,
		`fovea_relay_peers{state="unavailable"} 0`,
		`go_goroutines `,
		`process_open_fds `,
	} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("there is no %s", want)
		}
	}
	if code, _ := c.get(t, "/"); code != http.StatusNotFound {
		t.Errorf("elsewhere: %d", code)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestNone counts nothing.
func TestNone(t *testing.T) {
	var f *Flows
	f.Opened()()
	f.Received(Plain, 1)
	f.Forwarded(Plain, flow(t))
	f.Lost(Plain, 1)
	f.Followed(time.Now())
}

// TestStop has one end while a client has a connection on which it says nothing.
func TestStop(t *testing.T) {
	c, stop := serve(t, newMetrics(t, peers.New(nil, time.Second)))
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(c.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if code, _ := c.get(t, "/metrics"); code != http.StatusOK {
		t.Errorf("code %d", code)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestServeFails(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := newMetrics(t, peers.New(nil, time.Second)).Serve(t.Context(), l); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func BenchmarkForwarded(b *testing.B) {
	f, r := newFlows(), flow(b)
	b.ReportAllocs()
	for b.Loop() {
		f.Forwarded(Batched, r)
	}
}
