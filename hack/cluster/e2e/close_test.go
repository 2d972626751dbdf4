//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/fovea-obs/fovea/hack/cluster"
)

// surroundings is what a cluster must leave as it was.
type surroundings struct{ mounts, links, settings []string }

func lookAround(t *testing.T) surroundings {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	check(t, err)
	s := surroundings{mounts: strings.Split(string(mounts), "\n")}
	links, err := netlink.LinkList()
	check(t, err)
	for _, l := range links {
		s.links = append(s.links, l.Attrs().Name)
	}
	for _, pattern := range []string{"vm/*", "kernel/panic*", "kernel/keys/*", "fs/inotify/*", "net/ipv?/*forward*"} {
		files, err := filepath.Glob(filepath.Join("/proc/sys", pattern))
		check(t, err)
		for _, f := range files {
			if value, err := os.ReadFile(f); err == nil { // some can only be written
				s.settings = append(s.settings, fmt.Sprintf("%s: %s", f, value))
			}
		}
	}
	return s
}

// unchanged checks that all is as it was.
func (s surroundings) unchanged(t *testing.T) {
	t.Helper()
	if diff := cmp.Diff(s, lookAround(t), cmp.AllowUnexported(surroundings{})); diff != "" {
		t.Errorf("before - and after +\n%s", diff)
	}
}

func testClose(t *testing.T, f *fixture) {
	ctx := testContext(t)
	children := descendants(t, os.Getpid())
	if len(children) < 20 {
		t.Errorf("a cluster of %d processes", len(children))
	}
	check(t, f.Close())
	gone(ctx, t, f.Dir(), children)
	f.before.unchanged(t)
}

// TestKilled kills a program that has a cluster. Processes and mounts end with
// it, files and control groups are removed by who comes next.
func TestKilled(t *testing.T) {
	ctx := testContext(t)
	before := lookAround(t)
	up := filepath.Join(t.TempDir(), "up")
	check(t, cluster.Build(ctx, up, "hack/cluster/up"))
	cmd := exec.Command(up)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	var dir string
	for lines := bufio.NewScanner(out); lines.Scan() && !strings.HasPrefix(lines.Text(), "Interrupt"); {
		if _, after, ok := strings.Cut(lines.Text(), "its logs are in "); ok {
			dir, _, _ = strings.Cut(after, ". ")
		}
	}
	children := descendants(t, cmd.Process.Pid)
	check(t, cmd.Process.Kill())
	cmd.Wait()
	if len(children) < 10 || dir == "" {
		t.Fatalf("a cluster of %d processes in %q", len(children), dir)
	}
	awaitEnd(ctx, t, children)
	before.unchanged(t)
	check(t, cluster.Sweep())
	gone(ctx, t, dir, children)
}

// TestFailedStartLeavesNothing starts a cluster that cannot be.
func TestFailedStartLeavesNothing(t *testing.T) {
	ctx := testContext(t)
	before := lookAround(t)
	if _, err := cluster.Start(ctx, cluster.Config{Nodes: 1, Proxy: "none"}); err == nil {
		t.Error("kube-proxy knows a mode none")
	} else if !strings.Contains(err.Error(), "kube-proxy ended") || !strings.Contains(err.Error(), "ProxyMode") {
		t.Errorf("the error does not tell what kube-proxy says of its mode: %v", err)
	}
	if children := descendants(t, os.Getpid()); len(children) != 0 {
		t.Errorf("left %v", children)
	}
	before.unchanged(t)
}

// gone checks that nothing is left of a cluster that had this directory.
func gone(ctx context.Context, t *testing.T, dir string, processes []process) {
	t.Helper()
	awaitEnd(ctx, t, processes)
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("directory %s: %v", dir, err)
	}
	for _, depth := range []string{"", "*"} {
		if groups, _ := filepath.Glob(filepath.Join("/sys/fs/cgroup", depth, filepath.Base(dir))); len(groups) > 0 {
			t.Errorf("left control groups %q", groups)
		}
	}
}
