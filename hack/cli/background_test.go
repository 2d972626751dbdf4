package cli

import (
	"os"
	"os/exec"
	"testing"
)

// background is a hubble that runs.
type background struct {
	cmd  *exec.Cmd
	out  *output
	done chan struct{}
	err  error // how it ended, once done
}

// start starts hubble. The script owns it.
func (s *script) start(t *testing.T, args []string) {
	t.Helper()
	if s.started != nil {
		t.Fatal("only one hubble at a time")
	}
	b := &background{cmd: s.cli(t, args...), out: newOutput(), done: make(chan struct{})}
	b.cmd.Stdout, b.cmd.Stderr = b.out, b.out
	s.begin(t, b.cmd)
	s.started = b
	go func() {
		defer close(b.done)
		b.err = b.cmd.Wait()
	}()
}

// running is the started hubble.
func (s *script) running(t *testing.T) *background {
	t.Helper()
	if s.started == nil {
		t.Fatal("no hubble was started")
	}
	return s.started
}

// await returns the next lines once they are printed.
func (s *script) await(t *testing.T, lines int) string {
	t.Helper()
	b := s.running(t)
	text, err := b.out.await(testContext(t), lines, b.done)
	if err != nil {
		t.Fatalf("wait for %d lines of hubble: %v; so far:\n%s", lines, err, b.out)
	}
	return text
}

// stop interrupts hubble as a user does, and returns what was not awaited and
// how it ended, if not well.
func (s *script) stop(t *testing.T) string {
	t.Helper()
	b := s.running(t)
	s.started = nil
	check(t, b.cmd.Process.Signal(os.Interrupt))
	<-b.done
	out := b.out.rest()
	if b.err != nil {
		out += b.err.Error() + "\n"
	}
	return out
}

// kill ends hubble, if it runs.
func (s *script) kill() {
	if s.started == nil {
		return
	}
	// It fails only if the process has ended.
	_ = s.started.cmd.Process.Kill()
	<-s.started.done
	s.started = nil
}
