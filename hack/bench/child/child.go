// Package child runs what is measured as a process of its own, so that its CPU
// time and memory can be told from those of the one that measures.
//
// A child is driven over its standard input, a JSON object a line, answers each
// on its standard output, and ends with its input. Command upstream of
// hack/hubble speaks the same.
package child

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// stopTimeout is how long a child may take to end in good order.
const stopTimeout = 10 * time.Second

// Command is what a child is to do, and with what.
type Command struct {
	Do      string          `json:"do"`
	Path    string          `json:"path,omitempty"`
	Request json.RawMessage `json:"request,omitempty"`
	Times   int             `json:"times,omitempty"`
	// Node is the number of the node whose flows they are, from 1 on.
	Node uint16 `json:"node,omitempty"`
	// After and Every are in nanoseconds: of the first flow, and between two.
	After int64 `json:"after,omitempty"`
	Every int64 `json:"every,omitempty"`
	// Batches has the server have the service that relays of ours ask for.
	Batches bool `json:"batches,omitempty"`
	// Program is the kernel's number of a BPF program.
	Program uint32 `json:"program,omitempty"`
}

// Answer is what came out, of which each kind of command sets a part.
type Answer struct {
	Error string `json:"error,omitempty"`
	// Flows are how many the child holds.
	Flows uint64 `json:"flows,omitempty"`
	// Sent is how many flows or packets went out, Nanoseconds how long it took.
	Sent        uint64 `json:"sent,omitempty"`
	Nanoseconds int64  `json:"ns,omitempty"`
	// Address is what the child listens on, Addresses what its servers do.
	Address   string   `json:"address,omitempty"`
	Addresses []string `json:"addresses,omitempty"`
	// CPU is the time in nanoseconds that the child has used since it started.
	CPU int64 `json:"cpu,omitempty"`
}

// Child is a running child.
type Child struct {
	cmd      *exec.Cmd
	commands io.WriteCloser
	answers  *os.File
	decoder  *json.Decoder

	done chan struct{}
	err  error // of the process, once done
}

// Start starts a child, which ends when this process does. The caller must Stop
// it.
func Start(cmd *exec.Cmd) (*Child, error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	answers, out, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	// Not the child's, once it is started.
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	c := &Child{cmd: cmd, commands: in, answers: answers, decoder: json.NewDecoder(answers), done: make(chan struct{})}
	started := make(chan error, 1)
	go c.run(started)
	if err := <-started; err != nil {
		<-c.done
		return nil, errors.Join(fmt.Errorf("start %s: %w", cmd.Path, err), in.Close(), answers.Close())
	}
	return c, nil
}

// run keeps its thread for as long as the child lives: the kernel sends a
// process its parent death signal when the thread that started it ends.
func (c *Child) run(started chan<- error) {
	defer close(c.done)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := c.cmd.Start()
	started <- err
	if err == nil {
		c.err = c.cmd.Wait()
	}
}

// PID is the process's number.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Do has the child carry out a command, and returns its answer.
func (c *Child) Do(command Command) (Answer, error) {
	if err := json.NewEncoder(c.commands).Encode(command); err != nil {
		return Answer{}, fmt.Errorf("tell the child to %s: %w", command.Do, err)
	}
	var a Answer
	if err := c.decoder.Decode(&a); err != nil {
		return Answer{}, fmt.Errorf("await the child's answer to %s: %w", command.Do, err)
	}
	if a.Error != "" {
		return Answer{}, fmt.Errorf("the child: %s", a.Error)
	}
	return a, nil
}

// Stop ends the child.
func (c *Child) Stop() error {
	err := c.commands.Close()
	if errors.Is(err, os.ErrClosed) {
		// It has ended already: c.err says why.
		err = nil
	}
	select {
	case <-c.done:
	case <-time.After(stopTimeout):
		err = errors.Join(err, fmt.Errorf("the child did not end in %v", stopTimeout), c.cmd.Process.Kill())
		<-c.done
	}
	return errors.Join(err, c.err, c.answers.Close())
}

// Serve is the child's side: it has do carry out the commands of in, one after
// the other, until there are no more.
func Serve(in io.Reader, out io.Writer, do func(Command) (Answer, error)) error {
	commands, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var c Command
		if err := commands.Decode(&c); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read a command: %w", err)
		}
		a, err := do(c)
		if err != nil {
			a = Answer{Error: fmt.Sprintf("%s: %v", c.Do, err)}
		}
		if err := answers.Encode(a); err != nil {
			return fmt.Errorf("write an answer: %w", err)
		}
	}
}

// CPU is the time that this process has used.
func CPU() (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, fmt.Errorf("read the time used: %w", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}
