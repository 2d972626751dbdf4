package apiserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// askAgain is after how long a program is asked again whether it serves.
const askAgain = 20 * time.Millisecond

// process is a program that runs.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // once done
}

// start starts a program, which ends at the latest with this process.
func start(path string, log io.Writer, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(path, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	go p.run(started)
	if err := <-started; err != nil {
		<-p.done
		return nil, fmt.Errorf("start %s: %w", p.name(), err)
	}
	return p, nil
}

// run keeps its thread for as long as the program runs: the kernel kills it when
// the thread that started it ends.
func (p *process) run(started chan<- error) {
	defer close(p.done)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err == nil {
		p.err = p.cmd.Wait()
	}
}

func (p *process) name() string { return filepath.Base(p.cmd.Path) }

// pause waits for a moment before a program is asked again. It fails with the
// last error if there is no use in that.
func (p *process) pause(ctx context.Context, last error) error {
	select {
	case <-p.done:
		return fmt.Errorf("%s ended: %w", p.name(), errors.Join(p.err, last))
	case <-ctx.Done():
		return fmt.Errorf("wait for %s: %w", p.name(), errors.Join(ctx.Err(), last))
	case <-time.After(askAgain):
		return nil
	}
}

// kill ends the program at once and waits for it. What it wrote is only good for
// as long as the machine runs, so there is nothing to save.
func (p *process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.name(), err)
	}
	<-p.done
	var exit *exec.ExitError
	if errors.As(p.err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return nil
	}
	return fmt.Errorf("stop %s: it had ended: %w", p.name(), p.err)
}
