package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	peerpb "github.com/cilium/cilium/api/v1/peer"
	"google.golang.org/grpc"

	"github.com/fovea-obs/fovea/hack/process"
	"github.com/fovea-obs/fovea/hack/stock"
)

// connectTimeout is how long a relay may take to be connected to all of its nodes.
const connectTimeout = 30 * time.Second

// relay is a running relay, and a connection to it.
type relay struct {
	*process.Agent
	conn *grpc.ClientConn
	// end ends it, and after what it was started with.
	end   func(*process.Agent) error
	after func() error
}

// startRelay starts a relay of ours that asks these nodes.
func startRelay(ctx context.Context, dir string, peers []string) (*relay, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program(dir), "relay", "--listen-address", address, "--health-listen-address", "127.0.0.1:0",
		"--disable-client-tls", "--disable-server-tls", "--peers", strings.Join(peers, ","))
	return start(ctx, cmd, address, len(peers), (*process.Agent).Stop, func() error { return nil })
}

// startHubbleRelay starts Hubble's relay, and the Peer service that tells it of these
// nodes.
func startHubbleRelay(ctx context.Context, dir string, peers []string) (*relay, error) {
	program, err := stock.HubbleRelay(ctx)
	if err != nil {
		return nil, err
	}
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	socket := filepath.Join(dir, "peers.sock")
	l, err := new(net.ListenConfig).Listen(ctx, "unix", socket)
	if err != nil {
		return nil, fmt.Errorf("serve peers: %w", err)
	}
	server, served := grpc.NewServer(), make(chan error, 1)
	peerpb.RegisterPeerServer(server, peerService{peers: peers})
	go func() { served <- server.Serve(l) }()
	cmd := process.HubbleRelay(program, address, "127.0.0.1:0", "unix://"+socket)
	// It does not end when it is asked to, as its health service goes on.
	return start(ctx, cmd, address, len(peers), (*process.Agent).Kill, func() error {
		server.Stop()
		return <-served
	})
}

// start has a command run a relay, and returns when that is connected to so many nodes. If
// that fails, it ends the relay, as far as there is one, and calls after.
func start(
	ctx context.Context, cmd *exec.Cmd, address string, peers int, end func(*process.Agent) error, after func() error,
) (*relay, error) {
	cmd.Stderr = os.Stderr
	a, err := process.StartCommand(ctx, cmd, address)
	if err != nil {
		return nil, errors.Join(err, after())
	}
	r := &relay{Agent: a, end: end, after: after}
	if r.conn, err = dial(address); err == nil {
		err = r.connected(ctx, peers)
	}
	if err != nil {
		return nil, errors.Join(err, r.stop())
	}
	return r, nil
}

// connected returns when the relay is connected to so many nodes.
func (r *relay) connected(ctx context.Context, peers int) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	for {
		s, err := r.Client.ServerStatus(ctx, &observerpb.ServerStatusRequest{})
		n := s.GetNumConnectedNodes().GetValue()
		if err == nil && n == uint32(peers) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the relay is connected to %d of %d nodes: %w", n, peers, errors.Join(ctx.Err(), err))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (r *relay) stop() (err error) {
	if r.conn != nil {
		err = r.conn.Close()
	}
	return errors.Join(err, r.end(r.Agent), r.after())
}

// freeAddress is one of loopback that nobody listens to.
func freeAddress(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free address: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// peerService is a Peer service of nodes that stay.
type peerService struct {
	peerpb.UnimplementedPeerServer
	peers []string
}

func (p peerService) Notify(_ *peerpb.NotifyRequest, stream grpc.ServerStreamingServer[peerpb.ChangeNotification]) error {
	for _, peer := range p.peers {
		name, address, _ := strings.Cut(peer, "=")
		c := &peerpb.ChangeNotification{Name: name, Address: address, Type: peerpb.ChangeNotificationType_PEER_ADDED}
		if err := stream.Send(c); err != nil {
			return err
		}
	}
	<-stream.Context().Done()
	return nil
}
