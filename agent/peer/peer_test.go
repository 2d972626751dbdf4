package peer

import (
	"context"
	"fmt"
	"testing"

	peerpb "github.com/cilium/cilium/api/v1/peer"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/fovea-obs/fovea/internal/nodename"
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

// notify runs a stream until the test ends, which must be with the client's.
func notify(t *testing.T, c Config) *stream {
	ctx, cancel := context.WithCancel(t.Context())
	s := &stream{ctx: ctx, sent: make(chan *peerpb.ChangeNotification)}
	done := make(chan error)
	go func() { done <- New(c).Notify(nil, s) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; status.Code(err) != codes.Canceled {
			t.Errorf("the stream ended with %v", err)
		}
	})
	return s
}

func TestSelf(t *testing.T) {
	for name, c := range map[string]struct {
		cluster, address string
		tls              bool
		want             *peerpb.ChangeNotification
	}{
		"plain text": {"prod", "192.0.2.1:4245", false,
			&peerpb.ChangeNotification{Name: "prod/node-1.example.com", Address: "192.0.2.1:4245"}},
		"TLS": {"default", "192.0.2.1", true,
			&peerpb.ChangeNotification{
				Name: "node-1.example.com", Address: "192.0.2.1:4244",
				Tls: &peerpb.TLS{ServerName: "node-1-example-com.default.hubble-grpc.cilium.io"},
			}},
		"TLS and a cluster": {"prod", "192.0.2.1", true,
			&peerpb.ChangeNotification{
				Name: "prod/node-1.example.com", Address: "192.0.2.1:4244",
				Tls: &peerpb.TLS{ServerName: "node-1-example-com.prod.hubble-grpc.cilium.io"},
			}},
	} {
		t.Run(name, func(t *testing.T) {
			const node = "node-1.example.com"
			s := notify(t, Config{
				NodeName: node, Cluster: c.cluster, TLS: c.tls,
				Nodes: NewNodes(nodename.Name(c.cluster, node), c.address, false),
			})
			c.want.Type = peerpb.ChangeNotificationType_PEER_ADDED
			if diff := cmp.Diff(c.want, <-s.sent, protocmp.Transform()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestNotify has nodes that come, move and go, and holds what a client hears
// that reads each time.
func TestNotify(t *testing.T) {
	nodes := NewNodes("node2", "unix:///run/sock", false)
	s := notify(t, Config{NodeName: "node2", Cluster: "default", Nodes: nodes})
	for _, step := range []struct {
		set  map[string]string
		want []string
	}{
		{map[string]string{"node2": "192.0.2.2", "node1": "192.0.2.1:4250"}, []string{
			"PEER_ADDED node2 unix:///run/sock", "PEER_ADDED node1 192.0.2.1:4250"}},
		{map[string]string{"node1": "192.0.2.9"}, []string{"PEER_UPDATED node1 192.0.2.9:4244"}},
		{map[string]string{"node3": "192.0.2.9"}, []string{
			"PEER_DELETED node1 192.0.2.9:4244", "PEER_ADDED node3 192.0.2.9:4244"}},
		{nil, []string{"PEER_DELETED node3 192.0.2.9:4244"}},
	} {
		nodes.Set(step.set)
		for _, want := range step.want {
			n := <-s.sent
			if got := n.GetType().String() + " " + n.GetName() + " " + n.GetAddress(); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	}
}

// TestSlowClient has more changes than a client reads: it hears of the last.
func TestSlowClient(t *testing.T) {
	nodes := NewNodes("self", "192.0.2.1", false)
	s := notify(t, Config{NodeName: "self", Cluster: "default", Nodes: nodes})
	<-s.sent
	nodes.Set(map[string]string{"a": "192.0.2.2"})
	<-s.sent
	for i := range 100 {
		nodes.Set(map[string]string{"a": fmt.Sprint("192.0.2.", i+3)})
	}
	heard := 0
	for n := range s.sent {
		if heard++; n.GetAddress() == "192.0.2.102:4244" {
			break
		}
	}
	if heard > 2 {
		t.Errorf("%d messages", heard)
	}
}

func TestGuessedAddress(t *testing.T) {
	for guessed, want := range map[bool]string{true: "192.0.2.7", false: "192.0.2.1"} {
		n := NewNodes("self", "192.0.2.1", guessed)
		n.Set(map[string]string{"self": "192.0.2.7"})
		if all, _ := n.All(); all["self"] != want {
			t.Errorf("guessed %v: got %s, want %s", guessed, all["self"], want)
		}
	}
}
