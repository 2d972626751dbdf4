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
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/fovea-obs/fovea/hack/cluster"
)

// surroundings is what a cluster must leave as it was.
type surroundings struct{ mounts, links []string }

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
	return s
}

func testClose(t *testing.T, f *fixture) {
	ctx := testContext(t)
	children := descendants(t, os.Getpid())
	if len(children) < 20 {
		t.Errorf("a cluster of %d processes", len(children))
	}
	check(t, f.Close())
	gone(ctx, t, f.Dir(), children)
	if after := lookAround(t); !slices.Equal(after.mounts, f.before.mounts) || !slices.Equal(after.links, f.before.links) {
		t.Errorf("before %q, after %q", f.before, after)
	}
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
	if after := lookAround(t); !slices.Equal(after.mounts, before.mounts) || !slices.Equal(after.links, before.links) {
		t.Errorf("before %q, after %q", before, after)
	}
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
	if after := lookAround(t); !slices.Equal(after.mounts, before.mounts) || !slices.Equal(after.links, before.links) {
		t.Errorf("before %q, after %q", before, after)
	}
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

// process is one of all times: numbers are given again.
type process struct {
	pid     int
	started string
	name    string
}

// awaitEnd waits for processes that were killed.
func awaitEnd(ctx context.Context, t *testing.T, processes []process) {
	t.Helper()
	for _, p := range processes {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		eventually(ctx, t, func() error {
			if now, _, ok := readProcess(p.pid); ok && now == p {
				return fmt.Errorf("process %d %s is left", p.pid, p.name)
			}
			return nil
		})
		cancel()
	}
}

// descendants are the processes that a process started, with what they started.
func descendants(t *testing.T, pid int) []process {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	check(t, err)
	children := map[int][]process{}
	for _, s := range stats {
		pid, err := strconv.Atoi(strings.Split(s, "/")[2])
		check(t, err)
		if p, parent, ok := readProcess(pid); ok {
			children[parent] = append(children[parent], p)
		}
	}
	var all []process
	for queue := children[pid]; len(queue) > 0; queue = queue[1:] {
		all = append(all, queue[0])
		queue = append(queue, children[queue[0].pid]...)
	}
	return all
}

// readProcess reads a process that need not be there.
func readProcess(pid int) (p process, parent int, ok bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, 0, false
	}
	// The name is in parentheses and may have any in it.
	head, tail, _ := strings.Cut(string(text), "(")
	end := strings.LastIndex(tail, ") ")
	fields := strings.Fields(tail[end+2:])
	if end < 0 || head == "" || len(fields) < 20 {
		return process{}, 0, false
	}
	parent, err = strconv.Atoi(fields[1])
	return process{pid: pid, name: tail[:end], started: fields[19]}, parent, err == nil
}
