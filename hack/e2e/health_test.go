package e2e

import (
	"context"
	"net"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/fovea-obs/fovea/hack/process"
)

// TestHealth asks an agent as a kubelet's probe does, over TCP: it says that it serves once
// its programs are attached, and nothing any more when it has ended.
func TestHealth(t *testing.T) {
	const address = "127.0.0.1:4243"
	n := newNetwork(t)
	a, err := process.Start(testContext(t), n.agentConfig(t, n.near, "--health-listen-address", address))
	check(t, err)
	stop := sync.OnceValue(a.Stop)
	closeLater(t, stop)
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return n.near.NS.Dial(ctx, "tcp", address)
		}))
	check(t, err)
	closeLater(t, conn.Close)
	health := grpc_health_v1.NewHealthClient(conn)
	// Another server than the one that was asked before: it hears of the programs by itself.
	watch, err := health.Watch(testContext(t), &grpc_health_v1.HealthCheckRequest{}, grpc.WaitForReady(true))
	check(t, err)
	var last grpc_health_v1.HealthCheckResponse_ServingStatus
	for last != grpc_health_v1.HealthCheckResponse_SERVING {
		r, err := watch.Recv()
		check(t, err)
		last = r.GetStatus()
		t.Logf("the agent says %v", last)
	}
	check(t, stop())
	for err == nil {
		var r *grpc_health_v1.HealthCheckResponse
		if r, err = watch.Recv(); err == nil && r.GetStatus() == grpc_health_v1.HealthCheckResponse_SERVING {
			t.Error("the agent says that it serves, after it was told to stop")
		}
	}
	if c, err := n.near.NS.Dial(testContext(t), "tcp", address); err == nil {
		t.Errorf("somebody serves health after the agent ended: %v", c.Close())
	}
}
