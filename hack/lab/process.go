package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// errClosed is returned by methods of a closed namespace or lab.
var errClosed = errors.New("already closed")

// Start starts cmd in the namespace. The process gets SIGKILL when the
// namespace is closed or this process ends in any way. As with [exec.Cmd.Start],
// the caller must wait for cmd.
func (n *Namespace) Start(cmd *exec.Cmd) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return fmt.Errorf("start %s in network namespace: %w", cmd.Path, errClosed)
	}
	if n.starter == nil {
		s, err := newStarter(n.enter)
		if err != nil {
			return fmt.Errorf("start %s in network namespace: %w", cmd.Path, err)
		}
		n.starter = s
	}
	if err := n.starter.start(cmd); err != nil {
		return fmt.Errorf("start %s in network namespace: %w", cmd.Path, err)
	}
	return nil
}

// Run starts cmd in the namespace and waits for it.
func (n *Namespace) Run(cmd *exec.Cmd) error {
	if err := n.Start(cmd); err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("run %s in network namespace: %w", cmd.Path, err)
	}
	return nil
}

// starter is an OS thread inside a namespace that starts processes. The kernel
// sends a process its parent death signal when the thread that started it
// ends, so the thread lives until stop.
type starter struct {
	jobs chan startJob
	done chan struct{}
}

type startJob struct {
	cmd    *exec.Cmd
	result chan<- error
}

func newStarter(enter func() error) (*starter, error) {
	s := &starter{jobs: make(chan startJob), done: make(chan struct{})}
	ready := make(chan error)
	go s.run(enter, ready)
	if err := <-ready; err != nil {
		<-s.done
		return nil, err
	}
	return s, nil
}

// run never unlocks its thread, which therefore ends with the goroutine. The
// process's first thread must not be used for that: it stands for the whole
// process in /proc and is parked instead of ended.
func (s *starter) run(enter func() error, ready chan<- error) {
	runtime.LockOSThread()
	if unix.Gettid() == os.Getpid() {
		moved := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			close(moved)
			s.serve(enter, ready)
		}()
		<-moved
		runtime.UnlockOSThread()
		return
	}
	s.serve(enter, ready)
}

func (s *starter) serve(enter func() error, ready chan<- error) {
	defer close(s.done)
	if err := enter(); err != nil {
		ready <- err
		return
	}
	ready <- nil
	for job := range s.jobs {
		job.result <- job.cmd.Start()
	}
}

func (s *starter) start(cmd *exec.Cmd) error {
	var attr unix.SysProcAttr
	if cmd.SysProcAttr != nil {
		attr = *cmd.SysProcAttr
	}
	attr.Pdeathsig = unix.SIGKILL
	cmd.SysProcAttr = &attr
	result := make(chan error)
	s.jobs <- startJob{cmd: cmd, result: result}
	return <-result
}

// stop ends the thread and with it the processes it started.
func (s *starter) stop() {
	close(s.jobs)
	<-s.done
}
