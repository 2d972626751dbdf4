package e2e

import (
	"net"
	"path/filepath"
	"testing"

	peerpb "github.com/cilium/cilium/api/v1/peer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/fovea-obs/fovea/hack/process"
	"github.com/fovea-obs/fovea/hack/stock"
)

// peerService tells of nodes that are there for good.
type peerService struct {
	peerpb.UnimplementedPeerServer
	nodes []*peerpb.ChangeNotification
}

func (p *peerService) Notify(_ *peerpb.NotifyRequest, stream grpc.ServerStreamingServer[peerpb.ChangeNotification]) error {
	for _, n := range p.nodes {
		if err := stream.Send(n); err != nil {
			return err
		}
	}
	<-stream.Context().Done()
	return nil
}

// peerService serves what the agents' own Peer services say, each of which knows its own
// node only, and returns the address.
func (f *federation) peerService(t *testing.T) string {
	t.Helper()
	service := &peerService{}
	for _, a := range f.nodes {
		conn, err := grpc.NewClient("unix://"+a.Socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
		check(t, err)
		closeLater(t, conn.Close)
		stream, err := peerpb.NewPeerClient(conn).Notify(testContext(t), &peerpb.NotifyRequest{})
		check(t, err)
		n, err := stream.Recv()
		check(t, err)
		service.nodes = append(service.nodes, n)
	}
	path := filepath.Join(t.TempDir(), "peers.sock")
	l, err := net.Listen("unix", path)
	check(t, err)
	server := grpc.NewServer()
	peerpb.RegisterPeerServer(server, service)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Stop()
		check(t, <-served)
	})
	return "unix://" + path
}

// startHubbleRelay starts Hubble's own relay over the agents, where the nodes have their
// ways out.
func (f *federation) startHubbleRelay(t *testing.T) *process.Agent {
	t.Helper()
	program, err := stock.HubbleRelay(t.Context())
	check(t, err)
	// So that what follows is told soon.
	r, err := process.StartHubbleRelay(testContext(t), program, f.lab.Fabric(), f.peerService(t), len(f.nodes),
		logOf(t, "Hubble's relay"), "--sort-buffer-drain-timeout", "50ms")
	check(t, err)
	closeLater(t, r.Kill)
	return r
}
