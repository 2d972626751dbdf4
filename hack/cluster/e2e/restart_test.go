//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// withoutAPI is for how long the API server is away.
const withoutAPI = 30 * time.Second

// testNamesWithoutAPI takes the API server away for a while: flows go on, with the
// names that are known, and the agents say so.
func testNamesWithoutAPI(t *testing.T, f *fixture) {
	ctx := testContext(t)
	flows := f.follow(t)
	check(t, f.StopAPIServer())
	back := time.After(withoutAPI)
	eventually(ctx, t, func() error { return f.agentsSay(ctx, "kubernetes") })
	<-back
	check(t, f.StartAPIServer(ctx))
	eventually(ctx, t, func() error {
		if f.agentsSay(ctx, "kubernetes") == nil {
			return errors.New("agents do not follow the API again")
		}
		return nil
	})
	flows.stop()
	check(t, errors.Join(flows.errs...))
	newVerdict(f.learn(ctx, t)).report(t, flows.flows, wantFlows/2)
}

// testAgentKilled kills the agents: those that are started in their place see
// connections that were there before, and name all that passes.
func testAgentKilled(t *testing.T, f *fixture) {
	ctx := testContext(t)
	killed := 0
	for _, p := range descendants(t, os.Getpid()) {
		if p.name == "fovea" {
			check(t, unix.Kill(p.pid, unix.SIGKILL))
			killed++
		}
	}
	if killed != len(f.Nodes()) {
		t.Fatalf("%d agents were killed", killed)
	}
	eventually(ctx, t, func() error { return f.agentsSay(ctx, "") })
	flows := f.follow(t)
	eventually(ctx, t, func() error {
		if n := flows.count(); n < wantFlows/4 {
			return fmt.Errorf("%d flows", n)
		}
		return nil
	})
	flows.stop()
	check(t, errors.Join(flows.errs...))
	newVerdict(f.learn(ctx, t)).report(t, flows.flows, wantFlows/5)
}
