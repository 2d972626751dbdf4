package peer

import (
	"context"
	"testing"

	peerpb "github.com/cilium/cilium/api/v1/peer"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type stream struct {
	grpc.ServerStream
	ctx  context.Context
	sent chan *peerpb.ChangeNotification
}

func (s *stream) Context() context.Context { return s.ctx }

func (s *stream) Send(n *peerpb.ChangeNotification) error {
	s.sent <- n
	return nil
}

func TestNotify(t *testing.T) {
	for name, c := range map[string]struct {
		config Config
		want   *peerpb.ChangeNotification
	}{
		"plain text": {
			Config{NodeName: "node-1.example.com", Cluster: "prod", Address: "192.0.2.1:4245"},
			&peerpb.ChangeNotification{Name: "prod/node-1.example.com", Address: "192.0.2.1:4245"},
		},
		"TLS": {
			Config{NodeName: "node-1.example.com", Cluster: "default", Address: "192.0.2.1", TLS: true},
			&peerpb.ChangeNotification{
				Name: "node-1.example.com", Address: "192.0.2.1:4244",
				Tls: &peerpb.TLS{ServerName: "node-1-example-com.default.hubble-grpc.cilium.io"},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			s := &stream{ctx: ctx, sent: make(chan *peerpb.ChangeNotification)}
			done := make(chan error)
			go func() { done <- New(c.config).Notify(nil, s) }()
			c.want.Type = peerpb.ChangeNotificationType_PEER_ADDED
			if diff := cmp.Diff(c.want, <-s.sent, protocmp.Transform()); diff != "" {
				t.Error(diff)
			}
			select {
			case err := <-done:
				t.Fatalf("ended with %v while the client listens", err)
			default:
			}
			cancel()
			if err := <-done; status.Code(err) != codes.Canceled {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestName(t *testing.T) {
	for _, c := range [][3]string{
		{"prod", "n", "prod/n"},
		{"default", "n", "n"},
		{"", "n", "n"},
	} {
		if got := Name(c[0], c[1]); got != c[2] {
			t.Errorf("Name(%q, %q) = %q, want %q", c[0], c[1], got, c[2])
		}
	}
}

func TestAddress(t *testing.T) {
	for address, want := range map[string]string{
		"":                 "",
		"192.0.2.1":        "192.0.2.1:4244",
		"192.0.2.1:1":      "192.0.2.1:1",
		"node-1":           "node-1:4244",
		"fd00::1":          "[fd00::1]:4244",
		"[fd00::1]":        "[fd00::1]:4244",
		"[fd00::1]:1":      "[fd00::1]:1",
		"unix:///run/sock": "unix:///run/sock",
	} {
		if got := Address(address); got != want {
			t.Errorf("Address(%q) = %q, want %q", address, got, want)
		}
	}
}
