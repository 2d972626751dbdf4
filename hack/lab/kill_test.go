package lab

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// helperVariable makes the test program play a role instead of testing.
const helperVariable = "LAB_TEST_ROLE"

// helperCommand is the test program in that role.
func helperCommand(t *testing.T, role string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	check(t, err)
	cmd := exec.CommandContext(t.Context(), self)
	// The race detector makes a program wait before it exits.
	cmd.Env = append(os.Environ(), helperVariable+"="+role, "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	return cmd
}

func helperMain(role string) int {
	var err error
	switch role {
	case "inode":
		var inode uint64
		inode, err = threadNetns()
		fmt.Println(inode)
	case "starters":
		err = startersKeepFirstThread()
	case "block":
		select {}
	case "lab":
		if err = buildAndTell(); err == nil {
			io.Copy(io.Discard, os.Stdin) // until killed
		}
	default:
		err = fmt.Errorf("unknown role %q", role)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// startersKeepFirstThread starts and ends many threads in namespaces, and
// checks that the process's first thread stays where it is.
func startersKeepFirstThread() error {
	before, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return err
	}
	for range 50 {
		n, err := NewNamespace()
		if err != nil {
			return err
		}
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = []string{helperVariable + "=inode", "GORACE=atexit_sleep_ms=0"} // not this role again
		if err := n.Run(cmd); err != nil {
			return err
		}
		if err := n.Close(); err != nil {
			return err
		}
	}
	after, err := os.Readlink("/proc/self/ns/net")
	if err == nil && after != before {
		err = fmt.Errorf("first thread went from %s to %s", before, after)
	}
	return err
}

// buildAndTell builds a lab with a process in a pod, and prints the cookies of
// the namespaces and the process's ID.
func buildAndTell() error {
	l, err := New()
	if err != nil {
		return err
	}
	n, err := l.AddNode("node")
	if err != nil {
		return err
	}
	p, err := n.AddPod(PodSpec{Name: "pod"})
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), helperVariable+"=block")
	if err := p.NS.Start(cmd); err != nil {
		return err
	}
	for _, ns := range []*Namespace{l.Fabric(), n.NS, p.NS} {
		cookie, err := ns.Cookie()
		if err != nil {
			return err
		}
		fmt.Println(cookie)
	}
	fmt.Println(cmd.Process.Pid)
	return nil
}

func TestKillLeavesNothing(t *testing.T) {
	needRoot(t)
	cmd := helperCommand(t, "lab")
	stdin, err := cmd.StdinPipe()
	check(t, err)
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	cookies := make([]uint64, 3)
	var pid int
	_, err = fmt.Fscan(bufio.NewReader(stdout), &cookies[0], &cookies[1], &cookies[2], &pid)
	check(t, err)
	found := netnsInUse(t)
	for _, c := range cookies {
		if !found[c] {
			t.Errorf("namespace %d of the running lab not found", c)
		}
	}
	child, err := unix.PidfdOpen(pid, 0)
	check(t, err)
	defer unix.Close(child)

	check(t, cmd.Process.Signal(syscall.SIGKILL))
	cmd.Wait()
	awaitExit(t, child)
	found = netnsInUse(t)
	for _, c := range cookies {
		if found[c] {
			t.Errorf("namespace %d is still in use", c)
		}
	}
}

// awaitExit waits for the end of a process that need not be a child.
func awaitExit(t *testing.T, pidfd int) {
	t.Helper()
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, 10_000)
		if err == unix.EINTR {
			continue
		}
		check(t, err)
		if n == 0 {
			t.Fatal("process in the pod outlives the lab")
		}
		return
	}
}

// netnsInUse returns the cookies of the network namespaces that a thread is in,
// that a process has open or that are mounted.
func netnsInUse(t *testing.T) map[uint64]bool {
	t.Helper()
	var paths []string
	for _, pattern := range []string{"/proc/[0-9]*/task/*/ns/net", "/proc/[0-9]*/fd/*", "/run/netns/*"} {
		matches, err := filepath.Glob(pattern)
		check(t, err)
		paths = append(paths, matches...)
	}
	cookies := make(map[uint64]bool)
	for _, p := range paths {
		link, err := os.Readlink(p)
		if err == nil && !strings.HasPrefix(link, "net:[") {
			continue // another kind of file; errors mean a mount or a process that ended
		}
		file, err := os.Open(p)
		if err != nil {
			continue
		}
		n := &Namespace{file: file}
		if cookie, err := n.Cookie(); err == nil {
			cookies[cookie] = true
		}
		file.Close()
	}
	return cookies
}
