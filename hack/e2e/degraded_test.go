package e2e

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/fovea-obs/fovea/hack/lab"
)

// TestDegraded runs agents that are not let do everything: they say so, and do
// the rest.
func TestDegraded(t *testing.T) {
	t.Run("no links", func(t *testing.T) {
		s := newShop(t)
		s.serve(t)
		c := s.agentConfig(t, s.near, "--attach", "clsact")
		l := c.Log.(*log)
		c.Prepare = withoutLinks
		since := time.Now()
		a := startAgent(t, c)
		f := follow(t, a, since, s.newJudge(t, s.near).flow)
		ctx := testContext(t)
		_, err := lab.TCPLoad{Target: s.web4, Bytes: 100}.Run(ctx, s.client.NS)
		check(t, err)
		_, err = f.await(ctx, "the connection", endedAt(s.web))
		check(t, err)
		f.report(t)
		wantMissing(t, a.Client, l, "the node's own traffic", "drops", "full backlogs", "idle connections")
	})
	t.Run("somebody else listens", func(t *testing.T) {
		s := newShop(t)
		startAgent(t, s.agentConfig(t, s.near, "--nflog-group", "7"))
		c := s.agentConfig(t, s.near, "--nflog-group", "7")
		c.Dir = t.TempDir()
		wantMissing(t, startAgent(t, c).Client, c.Log.(*log), append(untold(t), "logged packets")...)
	})
	t.Run("no right to read the kernel", func(t *testing.T) {
		s := newShop(t)
		c, l := s.restricted(t, unix.CAP_BPF, unix.CAP_NET_ADMIN)
		wantMissing(t, startAgent(t, c).Client, l, "the node's own traffic", "endpoints", "drops", "full backlogs", "idle connections")
		if !strings.Contains(l.String(), "asked by netlink") {
			t.Error("the log does not say how connection tracking is asked")
		}
	})
}

// wantMissing checks that the agent says what it cannot do, and no more.
func wantMissing(t *testing.T, c observerpb.ObserverClient, l *log, probes ...string) {
	t.Helper()
	status, err := c.ServerStatus(testContext(t), &observerpb.ServerStatusRequest{})
	check(t, err)
	_, missing, _ := strings.Cut(strings.TrimSuffix(status.Version, ")"), " (degraded: ")
	got := strings.FieldsFunc(missing, func(r rune) bool { return r == ',' })
	for i := range got {
		got[i] = strings.TrimSpace(got[i])
	}
	slices.Sort(got)
	slices.Sort(probes)
	if !slices.Equal(got, probes) {
		t.Errorf("version %q, want it to name %q", status.Version, probes)
	}
	for _, probe := range probes {
		if !strings.Contains(l.String(), "probe="+probe) && !strings.Contains(l.String(), `probe="`+probe+`"`) {
			t.Errorf("the log does not name %q", probe)
		}
	}
}

// untold is what an agent with all rights cannot tell here: kernels may lack a way to
// attach programs to their functions, or refuse it.
func untold(t *testing.T) []string {
	t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.Tracing, AttachType: ebpf.AttachTraceFEntry, AttachTo: "tcp_conn_request", License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err == nil {
		var l link.Link
		if l, err = link.AttachTracing(link.TracingOptions{Program: p}); err == nil {
			check(t, l.Close())
		}
		check(t, p.Close())
	}
	if err != nil {
		t.Logf("a function of the kernel cannot be traced: %v", err)
		return []string{"full backlogs"}
	}
	return nil
}

// withoutLinksVariable makes the test program one that runs another, which is
// not let make BPF links.
const withoutLinksVariable = "E2E_WITHOUT_LINKS"

// withoutLinks keeps a program from making BPF links, as a container's seccomp
// profile may.
func withoutLinks(cmd *exec.Cmd) {
	cmd.Args = append([]string{"/proc/self/exe", cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/proc/self/exe"
	cmd.Env = append(os.Environ(), withoutLinksVariable+"=1")
}
