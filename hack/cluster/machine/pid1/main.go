// Command pid1 is the first process of a machine of hack/cluster/machine. It
// mounts what the machine has to itself, then starts and stops programs as it is
// told on its standard input, a JSON object a line, and answers each on its
// standard output. It takes over orphans, as a first process must. It ends with
// its input and when a program ends unasked, and all of the machine with it.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/fovea-obs/fovea/hack/cluster/machine"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "pid1:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 3 || os.Getpid() != 1 {
		return errors.New("usage: pid1 HOSTNAME DIR, as the first process of a namespace")
	}
	hostname, dir := os.Args[1], os.Args[2]
	if err := syscall.Sethostname([]byte(hostname)); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	if err := mountAll(dir); err != nil {
		return err
	}
	s := newSupervisor(dir, os.Stdout)
	if err := s.answer(nil); err != nil {
		return err
	}
	return s.serve(os.Stdin)
}

// stopTimeout is how long a program may take to end in good order.
const stopTimeout = 5 * time.Second

// serve does as it is told until the input ends. One goroutine starts and
// reaps, so that no process is reaped before it is known.
func (s *supervisor) serve(in io.Reader) error {
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	commands, failed := read(in)
	late := time.NewTimer(0)
	<-late.C
	for {
		select {
		case c := <-commands:
			if c.Do == "stop" && s.stop(c.Name) {
				late.Reset(stopTimeout)
				continue // answered when it is reaped
			}
			if err := s.do(c); err != nil {
				return err
			}
		case <-children:
			if err := s.reap(); err != nil {
				return err
			}
		case <-late.C:
			s.kill()
		case err := <-failed:
			return err
		}
	}
}

// read decodes commands until the input ends. It runs as long as the process.
func read(in io.Reader) (<-chan machine.Command, <-chan error) {
	commands, failed := make(chan machine.Command), make(chan error)
	go func() {
		d := json.NewDecoder(in)
		for {
			var c machine.Command
			if err := d.Decode(&c); err != nil {
				failed <- err
				return
			}
			commands <- c
		}
	}()
	return commands, failed
}
