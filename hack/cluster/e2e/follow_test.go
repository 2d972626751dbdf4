//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/fovea-obs/fovea/hack/cluster"
)

// follower follows the flows of all nodes.
type follower struct {
	cancel context.CancelFunc
	ended  sync.WaitGroup

	mu    sync.Mutex
	flows []*flowpb.Flow
	lost  uint64
	errs  []error
}

// follow takes the flows of all nodes from now on, until stop is called or the
// test ends.
func (f *fixture) follow(t *testing.T) *follower {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	all := &follower{cancel: cancel}
	t.Cleanup(all.stop)
	for _, n := range f.Nodes() {
		conn, err := dialAgent(n)
		check(t, err)
		stream, err := observerpb.NewObserverClient(conn).GetFlows(ctx, &observerpb.GetFlowsRequest{Follow: true})
		check(t, err)
		all.ended.Go(func() {
			defer conn.Close()
			all.take(ctx, stream)
		})
	}
	return all
}

// agentsSay tells whether the versions of all agents, which name what is missing,
// have a word in them.
func (f *fixture) agentsSay(ctx context.Context, word string) error {
	for _, n := range f.Nodes() {
		conn, err := dialAgent(n)
		if err != nil {
			return err
		}
		status, err := observerpb.NewObserverClient(conn).ServerStatus(ctx, &observerpb.ServerStatusRequest{})
		conn.Close()
		if err != nil {
			return err
		}
		if !strings.Contains(status.GetVersion(), word) {
			return fmt.Errorf("the agent of %s says %q", n.Name, status.GetVersion())
		}
	}
	return nil
}

// dialAgent connects to the agent of a node by its unix socket.
func dialAgent(n *cluster.Node) (*grpc.ClientConn, error) {
	return grpc.NewClient("unix://"+n.Dir("/run/fovea/hubble.sock"), grpc.WithTransportCredentials(insecure.NewCredentials()))
}

func (f *follower) take(ctx context.Context, stream grpc.ServerStreamingClient[observerpb.GetFlowsResponse]) {
	for {
		r, err := stream.Recv()
		f.mu.Lock()
		switch {
		case ctx.Err() != nil:
			f.mu.Unlock()
			return
		case err != nil:
			f.errs = append(f.errs, err)
			f.mu.Unlock()
			return
		case r.GetFlow() != nil:
			f.flows = append(f.flows, r.GetFlow())
		default:
			f.lost += r.GetLostEvents().GetNumEventsLost()
		}
		f.mu.Unlock()
	}
}

// count is how many flows there are so far.
func (f *follower) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.flows)
}

// stop ends the streams. What came until then stays.
func (f *follower) stop() {
	f.cancel()
	f.ended.Wait()
}
