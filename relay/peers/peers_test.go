package peers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	peerpb "github.com/cilium/cilium/api/v1/peer"
	"google.golang.org/grpc"
)

// service is a Peer service that tells what a test says, until that is nil.
type service struct {
	peerpb.UnimplementedPeerServer
	changes chan *peerpb.ChangeNotification
}

func (s *service) Notify(_ *peerpb.NotifyRequest, stream grpc.ServerStreamingServer[peerpb.ChangeNotification]) error {
	for {
		select {
		case <-stream.Context().Done():
			return nil
		case c := <-s.changes:
			if c == nil {
				return errors.New("over")
			}
			if err := stream.Send(c); err != nil {
				return err
			}
		}
	}
}

// await waits until the peers are these.
func await(t *testing.T, p *Peers, want ...Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		list, changed := p.All()
		var got []Node
		for _, peer := range list {
			got = append(got, peer.Node)
		}
		if slices.Equal(got, want) {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("the peers are %v, want %v", got, want)
		}
	}
}

func TestFollow(t *testing.T) {
	s := &service{changes: make(chan *peerpb.ChangeNotification)}
	socket := filepath.Join(t.TempDir(), "peer.sock")
	stop := serve(t, socket, s)
	p := New(nil, 10*time.Second)
	ctx, cancel := context.WithCancel(t.Context())
	followed := make(chan error, 1)
	go func() { followed <- Follow(ctx, p, "unix://"+socket, slog.New(slog.DiscardHandler)) }()
	defer func() {
		cancel()
		stop()
		p.Close()
		if err := <-followed; err != nil {
			t.Error(err)
		}
	}()
	tell := func(kind peerpb.ChangeNotificationType, name, address string) {
		s.changes <- &peerpb.ChangeNotification{Name: name, Address: address, Type: kind}
	}
	tell(peerpb.ChangeNotificationType_PEER_ADDED, "b", "192.0.2.2:4244")
	tell(peerpb.ChangeNotificationType_PEER_ADDED, "a", "192.0.2.1")
	tell(peerpb.ChangeNotificationType_PEER_ADDED, "prod/c", "2001:db8::1")
	a, b, c := Node{Name: "a", Address: "192.0.2.1:4244"}, Node{Name: "b", Address: "192.0.2.2:4244"}, Node{Name: "prod/c", Address: "[2001:db8::1]:4244"}
	await(t, p, a, b, c)
	list, _ := p.All()
	tell(peerpb.ChangeNotificationType_PEER_UPDATED, "b", "192.0.2.3:4244")
	tell(peerpb.ChangeNotificationType_PEER_DELETED, "prod/c", "2001:db8::1")
	b.Address = "192.0.2.3:4244"
	await(t, p, a, b)
	if again, _ := p.All(); again[0] != list[0] || again[1] == list[1] {
		t.Error("a node that stayed has another connection, or one with another address has not")
	}
	// The service goes, and tells anew when it is back.
	s.changes <- nil
	await(t, p, a, b)
}

// serve serves on a unix socket until stop is called or the test ends.
func serve(t *testing.T, socket string, s peerpb.PeerServer) (stop func()) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server, served := grpc.NewServer(), make(chan error, 1)
	peerpb.RegisterPeerServer(server, s)
	go func() { served <- server.Serve(l) }()
	stop = sync.OnceFunc(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// TestFewAtFirst has a service begin anew that knows the nodes later: they stay until
// it has had the time.
func TestFewAtFirst(t *testing.T) {
	s := &service{changes: make(chan *peerpb.ChangeNotification)}
	socket := filepath.Join(t.TempDir(), "peer.sock")
	serve(t, socket, s)
	p := New(nil, 10*time.Second)
	defer p.Close()
	conn, err := p.dial(Node{Address: "unix://" + socket})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	begin := func() (over chan error) {
		over = make(chan error, 1)
		go func() {
			over <- follow(t.Context(), p, peerpb.NewPeerClient(conn), time.Second, slog.New(slog.DiscardHandler))
		}()
		return over
	}
	tell := func(name, address string) {
		s.changes <- &peerpb.ChangeNotification{Name: name, Address: address}
	}
	a, b := Node{Name: "a", Address: "192.0.2.1:4244"}, Node{Name: "b", Address: "192.0.2.2:4244"}
	over := begin()
	tell("a", a.Address)
	tell("b", b.Address)
	await(t, p, a, b)
	s.changes <- nil
	if err := <-over; err == nil {
		t.Error("it ended without a reason")
	}
	over = begin()
	a.Address = "192.0.2.3:4244"
	tell("a", a.Address)
	await(t, p, a, b)
	await(t, p, a)
	s.changes <- nil
	<-over
}

// TestKeep has a node go and come back: it is connected again though nobody asks it.
func TestKeep(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "node.sock")
	stop := serve(t, socket, &service{})
	p := New(nil, time.Second)
	defer p.Close()
	if err := p.Set([]Node{{Name: "a", Address: "unix://" + socket}}); err != nil {
		t.Fatal(err)
	}
	list, _ := p.All()
	is := func(connected bool) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		for state := list[0].Conn.GetState(); list[0].Connected() != connected; state = list[0].Conn.GetState() {
			if !list[0].Conn.WaitForStateChange(ctx, state) {
				t.Fatalf("it is %v", state)
			}
		}
	}
	is(true)
	stop()
	is(false)
	serve(t, socket, &service{})
	is(true)
}

func TestSet(t *testing.T) {
	p := New(nil, 10*time.Second)
	defer p.Close()
	good := Node{Name: "good", Address: "192.0.2.1:4244"}
	if err := p.Set([]Node{{Name: "bad", Address: "nowhere"}, good}); err == nil {
		t.Error("an address without a port is taken")
	}
	await(t, p, good)
	_, changed := p.All()
	if err := p.Set([]Node{good}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-changed:
		t.Error("nothing changed")
	default:
	}
	p.Close()
	await(t, p)
	if err := p.Set([]Node{good}); err != nil {
		t.Fatal(err)
	}
	await(t, p)
}

func TestBounded(t *testing.T) {
	var many []Node
	for i := range MaxPeers + 1 {
		many = append(many, Node{Name: fmt.Sprintf("n%05d", MaxPeers-i)})
	}
	some, err := bounded(many)
	if len(some) != MaxPeers || some[0].Name != "n00000" {
		t.Errorf("%d nodes, the first is %v", len(some), some[0])
	}
	if err == nil || err.Error() != "5001 nodes, of which 5000 are asked at most" {
		t.Errorf("too many nodes: %v", err)
	}
	if some, err := bounded(many[1:]); len(some) != MaxPeers || err != nil {
		t.Errorf("%d nodes, %v", len(some), err)
	}
}
