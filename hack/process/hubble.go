package process

import (
	"context"
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

// HubbleRelay is a command that runs Hubble's own relay: it serves at an address, tells its
// health at another, and asks the nodes of which the Peer service tells, all in plaintext.
func HubbleRelay(program, address, health, peerService string, args ...string) *exec.Cmd {
	return exec.Command(program, append([]string{
		"serve", "--peer-service", peerService, "--listen-address", address, "--health-listen-address", health,
		"--disable-client-tls", "--disable-server-tls", "--gops=false",
	}, args...)...)
}

// StartHubbleRelay starts Hubble's own relay in a network namespace and waits until it
// has connections to so many nodes, of which the Peer service tells. It has no socket.
// As it does not end when it is told to, the caller must Kill it.
func StartHubbleRelay(
	ctx context.Context, program string, ns *lab.Namespace, peerService string, nodes int, log io.Writer, args ...string,
) (*Agent, error) {
	cmd := HubbleRelay(program, HubbleRelayAddress, "127.0.0.1:4222", peerService, args...)
	cmd.Stdout, cmd.Stderr = log, log
	a := &Agent{cmd: cmd, done: make(chan struct{})}
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
	return a, a.beginAt(ctx, ns.Start, "passthrough:///"+HubbleRelayAddress, connected,
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return ns.Dial(ctx, "tcp", address)
		}))
}
