package metrics

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

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

func TestFlows(t *testing.T) {
	m := newMetrics(t, peers.New(nil, time.Second))
	c, stop := serve(t, m)
	f := m.Flows
	f.Received(Batched, 1000)
	f.Received(Plain, 100)
	f.Received(Plain, 100)
	for range 3 {
		f.Forwarded(Batched)
	}
	f.Forwarded(Plain)
	f.Lost(Batched, 5)
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
	f.Forwarded(Plain)
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
