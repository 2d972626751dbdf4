package e2e

import (
	"testing"

	peerpb "github.com/cilium/cilium/api/v1/peer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/fovea-obs/fovea/hack/process"
	"github.com/fovea-obs/fovea/hack/stock"
)

// peerService serves what the agents' own Peer services say, each of which knows its own
// node only, and returns the address.
func (f *federation) peerService(t *testing.T) string {
	t.Helper()
	all := newRoster(t)
	for _, a := range f.nodes {
		conn, err := grpc.NewClient("unix://"+a.Socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
		check(t, err)
		closeLater(t, conn.Close)
		stream, err := peerpb.NewPeerClient(conn).Notify(testContext(t), &peerpb.NotifyRequest{})
		check(t, err)
		n, err := stream.Recv()
		check(t, err)
		all.say(n)
	}
	return all.address
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
