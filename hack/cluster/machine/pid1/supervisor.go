package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/fovea-obs/fovea/hack/cluster/machine"
)

// supervisor knows what runs on the machine.
type supervisor struct {
	dir     string
	answers *json.Encoder
	running map[int]string // by process number
	// stopping is what is asked to end, none if 0.
	stopping int
}

func newSupervisor(dir string, out io.Writer) *supervisor {
	return &supervisor{dir: dir, answers: json.NewEncoder(out), running: map[int]string{}}
}

// answer tells how a command went.
func (s *supervisor) answer(err error) error {
	var a machine.Answer
	if err != nil {
		a.Error = err.Error()
	}
	return s.answers.Encode(a)
}

// do does a command that is answered at once.
func (s *supervisor) do(c machine.Command) error {
	if c.Do != "start" {
		return s.answer(fmt.Errorf("cannot %s %s", c.Do, c.Name))
	}
	return s.answer(s.start(c))
}

func (s *supervisor) start(c machine.Command) error {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	log, err := os.OpenFile(s.log(c.Name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	pid, err := syscall.ForkExec(c.Path, append([]string{c.Name}, c.Args...), &syscall.ProcAttr{
		Env: c.Env, Files: []uintptr{null.Fd(), log.Fd(), log.Fd()},
	})
	if err != nil {
		return fmt.Errorf("run %s: %w", c.Path, err)
	}
	s.running[pid] = c.Name
	return nil
}

func (s *supervisor) log(name string) string { return filepath.Join(s.dir, "log", name+".log") }

// lastWords is the end of a program's log.
func (s *supervisor) lastWords(name string) []byte {
	const enough = 2 << 10
	text, err := os.ReadFile(s.log(name))
	if err != nil {
		return []byte(err.Error())
	}
	return text[max(0, len(text)-enough):]
}

// stop asks a program to end, and tells whether it runs.
func (s *supervisor) stop(name string) bool {
	for pid, n := range s.running {
		if n == name {
			s.stopping = pid
			return syscall.Kill(pid, syscall.SIGTERM) == nil
		}
	}
	return false
}

// kill ends what took too long to stop.
func (s *supervisor) kill() {
	if s.stopping != 0 {
		syscall.Kill(s.stopping, syscall.SIGKILL)
	}
}

// reap waits for all that has ended. It fails if something ended unasked.
func (s *supervisor) reap() error {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if pid <= 0 {
			return nil
		}
		name, ours := s.running[pid]
		delete(s.running, pid)
		switch {
		case ours && pid == s.stopping:
			s.stopping = 0
			if err := s.answer(nil); err != nil {
				return err
			}
		case ours:
			return fmt.Errorf("%s ended, exit status %d, signal %d, and last said:\n%s",
				name, status.ExitStatus(), status.Signal(), s.lastWords(name))
		}
	}
}
