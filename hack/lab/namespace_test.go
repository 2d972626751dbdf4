package lab

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func newTestNamespace(t *testing.T) *Namespace {
	t.Helper()
	needRoot(t)
	n, err := NewNamespace()
	check(t, err)
	closeLater(t, n.Close)
	return n
}

// threadNetns is the inode of the calling thread's network namespace.
func threadNetns() (uint64, error) {
	info, err := os.Stat(currentNetns)
	if err != nil {
		return 0, err
	}
	return info.Sys().(*syscall.Stat_t).Ino, nil
}

// inside checks that the caller is in the namespace.
func inside(t *testing.T, n *Namespace) {
	t.Helper()
	got, err := threadNetns()
	if err != nil {
		t.Error(err)
	}
	if want, err := n.Inode(); err != nil || got != want {
		t.Errorf("in namespace %d, want %d, %v", got, want, err)
	}
}

func TestDo(t *testing.T) {
	a, b := newTestNamespace(t), newTestNamespace(t)
	home, err := threadNetns()
	check(t, err)
	failure := errors.New("failure")
	err = a.Do(func() error {
		inside(t, a)
		check(t, b.Do(func() error {
			inside(t, b)
			return a.Do(func() error { inside(t, a); return nil })
		}))
		inside(t, a)
		return failure
	})
	if !errors.Is(err, failure) {
		t.Errorf("error %v, want %v", err, failure)
	}
	if now, err := threadNetns(); err != nil || now != home {
		t.Errorf("in namespace %d, want %d, %v", now, home, err)
	}
}

func TestDoAtTheSameTime(t *testing.T) {
	spaces := []*Namespace{newTestNamespace(t), newTestNamespace(t), newTestNamespace(t)}
	var wg sync.WaitGroup
	for i := range 300 {
		wg.Go(func() {
			n := spaces[i%len(spaces)]
			if err := n.Do(func() error { inside(t, n); return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestDoReturnsAfterExit(t *testing.T) {
	n := newTestNamespace(t)
	home, err := threadNetns()
	check(t, err)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			defer func() {
				if now, err := threadNetns(); err != nil || now != home {
					t.Errorf("in namespace %d, want %d, %v", now, home, err)
				}
			}()
			defer func() { recover() }()
			n.Do(func() error { panic("in the namespace") })
		})
	}
	wg.Wait()
}

func TestCookieIsUnique(t *testing.T) {
	a, b := newTestNamespace(t), newTestNamespace(t)
	first, err := a.Cookie()
	check(t, err)
	second, err := b.Cookie()
	check(t, err)
	if first == second || first == 0 {
		t.Errorf("cookies %d and %d", first, second)
	}
}

func TestPathOpensNamespace(t *testing.T) {
	n := newTestNamespace(t)
	info, err := os.Stat(n.Path())
	check(t, err)
	if want, err := n.Inode(); err != nil || info.Sys().(*syscall.Stat_t).Ino != want {
		t.Errorf("path leads to %d, want %d, %v", info.Sys().(*syscall.Stat_t).Ino, want, err)
	}
}

func TestRunInNamespace(t *testing.T) {
	n := newTestNamespace(t)
	for range 3 {
		cmd := helperCommand(t, "inode")
		var out strings.Builder
		cmd.Stdout = &out
		check(t, n.Run(cmd))
		want, err := n.Inode()
		check(t, err)
		if got := strings.TrimSpace(out.String()); got != strconv.FormatUint(want, 10) {
			t.Errorf("process in namespace %s, want %d", got, want)
		}
	}
	if err := n.Run(exec.Command("/no/such/file")); err == nil {
		t.Error("started a file that is not there")
	}
}

func TestCloseKillsProcesses(t *testing.T) {
	n := newTestNamespace(t)
	var cmds []*exec.Cmd
	for range 3 {
		cmd := helperCommand(t, "block")
		check(t, n.Start(cmd))
		cmds = append(cmds, cmd)
	}
	check(t, n.Close())
	for _, cmd := range cmds {
		cmd.Wait()
		if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGKILL {
			t.Errorf("process ended with %v", cmd.ProcessState)
		}
	}
	if err := n.Start(helperCommand(t, "block")); !errors.Is(err, errClosed) {
		t.Errorf("start in closed namespace: %v", err)
	}
}

func TestStartersKeepFirstThread(t *testing.T) {
	needRoot(t)
	check(t, helperCommand(t, "starters").Run())
}
