package rpc

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	peerpb "github.com/cilium/cilium/api/v1/peer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
)

// peers is a service whose calls do what a test wants.
type peers struct {
	peerpb.UnimplementedPeerServer
	notify func(grpc.ServerStreamingServer[peerpb.ChangeNotification]) error
}

func (p *peers) Notify(_ *peerpb.NotifyRequest, s grpc.ServerStreamingServer[peerpb.ChangeNotification]) error {
	return p.notify(s)
}

// serve serves p on TCP and a unix socket until stop is called, which returns
// Serve's error. It returns a connection by each.
func serve(t *testing.T, c Config, p *peers) (conns []*grpc.ClientConn, stop func() error) {
	t.Helper()
	server := New(c)
	peerpb.RegisterPeerServer(server, p)
	ctx, cancel := context.WithCancel(t.Context())
	var listeners []net.Listener
	for _, address := range []string{"unix://" + filepath.Join(t.TempDir(), "hubble.sock"), "127.0.0.1:0"} {
		l, err := Listen(ctx, address)
		if err != nil {
			t.Fatal(err)
		}
		listeners = append(listeners, l)
		target := l.Addr().String()
		if l.Addr().Network() == "unix" {
			target = address
		}
		conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, listeners...) }()
	t.Cleanup(func() {
		cancel()
		for _, conn := range conns {
			conn.Close()
		}
	})
	return conns, func() error { cancel(); return <-done }
}

func TestHealthAndHeader(t *testing.T) {
	conns, stop := serve(t, Config{Header: metadata.Pairs(ServerVersion, "1.2.3")}, &peers{})
	for _, conn := range conns {
		for _, name := range []string{"", ObserverHealth} {
			var header metadata.MD
			r, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(),
				&grpc_health_v1.HealthCheckRequest{Service: name}, grpc.Header(&header))
			if err != nil || r.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
				t.Errorf("%s: health of %q: %v, %v", conn.Target(), name, r, err)
			}
			if got := header.Get(ServerVersion); len(got) != 1 || got[0] != "1.2.3" {
				t.Errorf("%s: header %v", conn.Target(), header)
			}
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestReady follows the health of a server from before it is ready until it stops.
func TestReady(t *testing.T) {
	const serving, not = grpc_health_v1.HealthCheckResponse_SERVING, grpc_health_v1.HealthCheckResponse_NOT_SERVING
	ready := make(chan struct{})
	conns, stop := serve(t, Config{Ready: ready}, &peers{})
	var watches []grpc.ServerStreamingClient[grpc_health_v1.HealthCheckResponse]
	for _, name := range []string{"", ObserverHealth} {
		w, err := grpc_health_v1.NewHealthClient(conns[0]).Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: name})
		if err != nil {
			t.Fatal(err)
		}
		watches = append(watches, w)
	}
	says := func(want grpc_health_v1.HealthCheckResponse_ServingStatus) {
		t.Helper()
		for _, w := range watches {
			if r, err := w.Recv(); err != nil || r.GetStatus() != want {
				t.Errorf("got %v, %v, want %v", r, err, want)
			}
		}
	}
	says(not)
	close(ready)
	says(serving)
	if err := stop(); err != nil {
		t.Error(err)
	}
	for _, w := range watches {
		r, err := w.Recv()
		if err == nil && r.GetStatus() == not {
			r, err = w.Recv()
		}
		if status.Code(err) != codes.Unavailable {
			t.Errorf("after the end: %v, %v", r, err)
		}
	}
}

// TestStopBeforeReady has a server that stops without having been ready.
func TestStopBeforeReady(t *testing.T) {
	conns, stop := serve(t, Config{Ready: make(chan struct{})}, &peers{})
	r, err := grpc_health_v1.NewHealthClient(conns[0]).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil || r.GetStatus() != grpc_health_v1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("got %v, %v", r, err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestReflection(t *testing.T) {
	conns, stop := serve(t, Config{}, &peers{})
	stream, err := grpc_reflection_v1.NewServerReflectionClient(conns[0]).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&grpc_reflection_v1.ServerReflectionRequest{
		MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{},
	}); err != nil {
		t.Fatal(err)
	}
	r, err := stream.Recv()
	if err != nil || !strings.Contains(r.String(), "peer.Peer") {
		t.Errorf("got %v, %v", r, err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestPanic ends one call, and the next works.
func TestPanic(t *testing.T) {
	var log bytes.Buffer
	calls := 0
	conns, stop := serve(t, Config{Log: slog.New(slog.NewTextHandler(&log, nil))}, &peers{
		notify: func(s grpc.ServerStreamingServer[peerpb.ChangeNotification]) error {
			if calls++; calls == 1 {
				panic("the handler's mistake")
			}
			return s.Send(&peerpb.ChangeNotification{Name: "node-1"})
		},
	})
	if _, err := notify(t, conns[0]).Recv(); status.Code(err) != codes.Internal {
		t.Errorf("got %v, want Internal", err)
	} else if strings.Contains(err.Error(), "mistake") {
		t.Errorf("the client was told: %v", err)
	}
	if n, err := notify(t, conns[0]).Recv(); err != nil || n.GetName() != "node-1" {
		t.Errorf("next call: %v, %v", n, err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"the handler's mistake", "/peer.Peer/Notify", "server_test.go"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log does not have %q: %s", want, log.String())
		}
	}
}

// TestAround has a call that panics, one that is refused and one of one message seen from
// outside.
func TestAround(t *testing.T) {
	ended := make(chan string, 3)
	see := func(method string, err error) { ended <- method + " " + status.Code(err).String() }
	conns, stop := serve(t, Config{
		MaxStreams: 1,
		Unary: func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			r, err := next(ctx, req)
			see(info.FullMethod, err)
			return r, err
		},
		Stream: func(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			err := next(srv, s)
			see(info.FullMethod, err)
			return err
		},
	}, &peers{notify: func(s grpc.ServerStreamingServer[peerpb.ChangeNotification]) error {
		if err := s.Send(&peerpb.ChangeNotification{}); err != nil {
			return err
		}
		<-s.Context().Done()
		panic("the handler's mistake")
	}})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first, err := peerpb.NewPeerClient(conns[0]).Notify(ctx, &peerpb.NotifyRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Recv(); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		do   func()
		want string
	}{
		{func() { _, _ = notify(t, conns[1]).Recv() }, "/peer.Peer/Notify ResourceExhausted"},
		{func() { _, _ = grpc_health_v1.NewHealthClient(conns[1]).Check(t.Context(), nil) }, "/grpc.health.v1.Health/Check OK"},
		{cancel, "/peer.Peer/Notify Internal"},
	} {
		step.do()
		if got := <-ended; got != step.want {
			t.Errorf("saw %s, want %s", got, step.want)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func notify(t *testing.T, conn *grpc.ClientConn) grpc.ServerStreamingClient[peerpb.ChangeNotification] {
	t.Helper()
	stream, err := peerpb.NewPeerClient(conn).Notify(t.Context(), &peerpb.NotifyRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// TestStop ends the streams of clients that go on listening.
func TestStop(t *testing.T) {
	conns, stop := serve(t, Config{StopTimeout: time.Hour}, &peers{
		notify: func(s grpc.ServerStreamingServer[peerpb.ChangeNotification]) error {
			if err := s.Send(&peerpb.ChangeNotification{}); err != nil {
				return err
			}
			<-s.Context().Done()
			return s.Context().Err()
		},
	})
	var streams []grpc.ServerStreamingClient[peerpb.ChangeNotification]
	for _, conn := range conns {
		s := notify(t, conn)
		if _, err := s.Recv(); err != nil {
			t.Fatal(err)
		}
		streams = append(streams, s)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	for _, s := range streams {
		if _, err := s.Recv(); status.Code(err) != codes.Unavailable {
			t.Errorf("got %v, want Unavailable", err)
		}
	}
}

// TestStopIsBounded has a handler that does not notice that it is over.
func TestStopIsBounded(t *testing.T) {
	release := make(chan struct{})
	conns, stop := serve(t, Config{StopTimeout: time.Millisecond}, &peers{
		notify: func(s grpc.ServerStreamingServer[peerpb.ChangeNotification]) error {
			if err := s.Send(&peerpb.ChangeNotification{}); err != nil {
				return err
			}
			<-release
			return nil
		},
	})
	stream := notify(t, conns[0])
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error)
	go func() { stopped <- stop() }()
	// The connection is closed while the handler still runs.
	if _, err := stream.Recv(); err == nil {
		t.Error("got another message")
	}
	close(release)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// brokenListener fails at once.
type brokenListener struct{ net.Listener }

var errBroken = errors.New("broken")

func (brokenListener) Accept() (net.Conn, error) { return nil, errBroken }

// TestServeFails ends all listeners when one does.
func TestServeFails(t *testing.T) {
	good, bad := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	err := New(Config{}).Serve(t.Context(), good, brokenListener{bad})
	if !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
	if _, err := net.Dial("tcp", good.Addr().String()); err == nil {
		t.Error("the other listener is still open")
	}
}
