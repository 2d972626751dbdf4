package process

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	relaypb "github.com/cilium/cilium/api/v1/relay"
	"google.golang.org/grpc"

	"github.com/fovea-obs/fovea/hack/lab"
)

// HubbleRelayAddress is where Hubble's relay serves in its network namespace.
const HubbleRelayAddress = "127.0.0.1:4245"

// StartHubbleRelay starts Hubble's own relay in a network namespace and waits until it
// has connections to so many nodes, of which the Peer service tells. It has no socket.
// As it does not end when it is told to, the caller must Kill it.
func StartHubbleRelay(
	ctx context.Context, program string, ns *lab.Namespace, peerService string, nodes int, log io.Writer, args ...string,
) (*Agent, error) {
	a := &Agent{done: make(chan struct{})}
	a.cmd = exec.Command(program, append([]string{
		"serve", "--peer-service", peerService, "--listen-address", HubbleRelayAddress, "--health-listen-address", "127.0.0.1:4222",
		"--disable-client-tls", "--disable-server-tls", "--gops=false",
	}, args...)...)
	a.cmd.Stdout, a.cmd.Stderr = log, log
	if err := ns.Start(a.cmd); err != nil {
		return nil, fmt.Errorf("start Hubble's relay: %w", err)
	}
	// It looks at its own health every five seconds only.
	connected := func(ctx context.Context) (bool, error) {
		r, err := a.Client.GetNodes(ctx, &observerpb.GetNodesRequest{}, grpc.WaitForReady(true))
		if err != nil {
			return false, err
		}
		is := 0
		for _, n := range r.GetNodes() {
			if n.GetState() == relaypb.NodeState_NODE_CONNECTED && n.GetUptimeNs() > 0 {
				is++
			}
		}
		return is == nodes, nil
	}
	return a, a.beginAt(ctx, "passthrough:///"+HubbleRelayAddress, connected,
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return ns.Dial(ctx, "tcp", address)
		}))
}
