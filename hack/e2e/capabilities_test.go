package e2e

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	"golang.org/x/sys/unix"

	"github.com/fovea-obs/fovea/hack/lab"
	"github.com/fovea-obs/fovea/hack/process"
)

// nobody is a user without any right of its own.
const nobody = 65534

// TestCapabilities runs an agent that has no right but the three it asks for.
func TestCapabilities(t *testing.T) {
	s := newShop(t)
	s.serve(t)
	c, log := s.restricted(t, unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_NET_ADMIN)
	since := time.Now()
	a := startAgent(t, c)
	f := follow(t, a, since, s.newJudge(t, s.near).flow)
	s.connectAndFail(t, f)
	f.report(t)
	drop := f.dropped()[0]
	if !strings.Contains(drop.GetSummary(), "NO_SOCKET") {
		t.Errorf("drop told as %q, want the kernel's reason in it", drop.GetSummary())
	}
	t.Logf("drop %q", drop.GetSummary())
	wantMissing(t, a.Client, log, untold(t)...)
}

// restricted is for an agent of the near node that has these capabilities, and
// nothing else. It also returns what the agent prints.
func (s *shop) restricted(t *testing.T, capabilities ...uintptr) (process.Config, *log) {
	t.Helper()
	c := s.agentConfig(t, s.near)
	l := c.Log.(*log)
	// Its parents may be closed to others.
	dir, err := os.MkdirTemp("", "fovea-e2e-")
	check(t, err)
	closeLater(t, func() error { return os.RemoveAll(dir) })
	c.Dir = dir
	c.Prepare = func(cmd *exec.Cmd) {
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		check(t, err)
		for _, f := range append(files, dir) {
			check(t, os.Chown(f, nobody, nobody))
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Credential:  &syscall.Credential{Uid: nobody, Gid: nobody},
			AmbientCaps: capabilities,
		}
	}
	return c, l
}

// connectAndFail makes a connection and a failed one, and waits until both were
// told.
func (s *shop) connectAndFail(t *testing.T, f *follower) {
	t.Helper()
	ctx := testContext(t)
	_, err := lab.TCPLoad{Target: s.web4, Bytes: 100}.Run(ctx, s.client.NS)
	check(t, err)
	if c, err := s.client.DialTCP(ctx, netip.AddrPortFrom(s.web.IPv4, closedPort)); err == nil {
		t.Errorf("connected to a closed port: %v", c.Close())
	}
	_, err = f.await(ctx, "the connection", endedAt(s.web))
	check(t, err)
	_, err = f.await(ctx, "the drop", func(f *flowpb.Flow) bool { return f.GetVerdict() == flowpb.Verdict_DROPPED })
	check(t, err)
}

// endedAt matches a flow with which a pod ends a connection.
func endedAt(p *lab.Pod) func(*flowpb.Flow) bool {
	return func(f *flowpb.Flow) bool {
		return f.GetL4().GetTCP().GetFlags().GetFIN() && who(f.GetSource()) == podName(p)
	}
}
