package rpc

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	peerpb "github.com/cilium/cilium/api/v1/peer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// TestStreamsAreLimited has two over two connections, which are all that is
// allowed, until one ends.
func TestStreamsAreLimited(t *testing.T) {
	end := make(chan struct{})
	conns, stop := serve(t, Config{MaxStreams: 2}, &peers{
		notify: func(s grpc.ServerStreamingServer[peerpb.ChangeNotification]) error {
			if err := s.Send(&peerpb.ChangeNotification{}); err != nil {
				return err
			}
			select {
			case <-end:
			case <-s.Context().Done():
			}
			return nil
		},
	})
	begin := func(conn *grpc.ClientConn) (grpc.ServerStreamingClient[peerpb.ChangeNotification], error) {
		s := notify(t, conn)
		_, err := s.Recv()
		return s, err
	}
	first, err := begin(conns[0])
	if err != nil {
		t.Fatal(err)
	}
	second, err := begin(conns[1])
	if err != nil {
		t.Fatal(err)
	}
	for _, conn := range conns {
		_, err := begin(conn)
		if status.Code(err) != codes.ResourceExhausted || !strings.HasPrefix(status.Convert(err).Message(), "2 streams") {
			t.Errorf("a third by %s: %v", conn.Target(), err)
		}
		if _, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), nil); err != nil {
			t.Errorf("a call that is no stream: %v", err)
		}
	}
	// Whichever it is that ends, one more may begin.
	end <- struct{}{}
	ended := make(chan struct{}, 2)
	for _, s := range []grpc.ServerStreamingClient[peerpb.ChangeNotification]{first, second} {
		go func() {
			_, _ = s.Recv()
			ended <- struct{}{}
		}()
	}
	<-ended
	if _, err := begin(conns[0]); err != nil {
		t.Errorf("after one ended: %v", err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	<-ended
}

// TestOldestIsEvicted has a health service that allows two connections, all of which
// somebody holds: whoever comes is answered all the same.
func TestOldestIsEvicted(t *testing.T) {
	conns, stop := serve(t, Config{MaxConnections: 2, Evict: true}, &peers{})
	address := conns[1].Target()
	var held []net.Conn
	for range 4 {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		held = append(held, conn)
	}
	if _, err := grpc_health_v1.NewHealthClient(conns[1]).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
		t.Errorf("while all connections are held: %v", err)
	}
	for i, conn := range held[:3] {
		// The end may come with a reset, as nothing was said.
		if _, err := io.Copy(io.Discard, conn); err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("connection %d was not closed: %v", i, err)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestConnectionsAreLimited has a listener that allows two.
func TestConnectionsAreLimited(t *testing.T) {
	var log bytes.Buffer
	tcp := listen(t, "127.0.0.1:0")
	s := New(Config{MaxConnections: 2, Log: slog.New(slog.NewTextHandler(&log, nil))})
	l := s.limited(tcp)
	accepted := make(chan net.Conn)
	go func() {
		defer close(accepted)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	}()
	dial := func() net.Conn {
		t.Helper()
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	refused := func() {
		t.Helper()
		if _, err := dial().Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("one too many: %v", err)
		}
	}
	dial()
	first := <-accepted
	dial()
	second := <-accepted
	refused()
	// Closing twice makes room for one.
	for range 2 {
		_ = first.Close()
	}
	dial()
	third := <-accepted
	refused()
	for _, conn := range []net.Conn{second, third} {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	<-accepted
	if n := strings.Count(log.String(), "Connections refused"); n != 1 || !strings.Contains(log.String(), "allowed=2") {
		t.Errorf("logged: %s", &log)
	}
}

// TestRequestsAreLimited has requests and headers of all sizes.
func TestRequestsAreLimited(t *testing.T) {
	conns, stop := serve(t, Config{}, &peers{})
	for name, tt := range map[string]struct {
		message, header int
		want            codes.Code
	}{
		"small":          {10, 10, codes.NotFound},
		"large message":  {maxMessage - 100, 0, codes.NotFound},
		"larger message": {maxMessage, 0, codes.ResourceExhausted},
		"large header":   {0, maxHeaders - 1000, codes.OK},
		"larger header":  {0, maxHeaders, codes.Internal},
	} {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "x-header", strings.Repeat("x", tt.header))
		for _, conn := range conns {
			_, err := grpc_health_v1.NewHealthClient(conn).Check(ctx,
				&grpc_health_v1.HealthCheckRequest{Service: strings.Repeat("x", tt.message)})
			if status.Code(err) != tt.want {
				t.Errorf("%s by %s: got %v, want %v", name, conn.Target(), err, tt.want)
			}
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestComplaints has many in one minute, and one later.
func TestComplaints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		c := complaints{to: slog.New(slog.NewTextHandler(&log, nil))}
		for range 5 {
			c.log("Refused", "allowed", 7)
		}
		time.Sleep(complainEvery)
		c.log("Refused", "allowed", 7)
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) != 2 || !strings.HasSuffix(lines[0], "msg=Refused allowed=7 others=0") ||
			!strings.HasSuffix(lines[1], "msg=Refused allowed=7 others=4") {
			t.Errorf("logged: %s", &log)
		}
	})
}
