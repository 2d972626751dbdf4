// Command upstream is Hubble's own server over a ring of given flows: what
// benchmarks compare ours with. It is driven over standard input, a JSON object
// a line, and answers each with one on standard output; it ends with its input.
//
//	{"do": "load", "path": FILE}                   fill the ring from a file: messages of flow.Flow, each after its length
//	{"do": "scan", "request": REQUEST, "times": N} run GetFlows N times with nobody to send to
//	{"do": "listen"}                               serve over TCP, on an address that the answer names
//	{"do": "usage"}                                the CPU time that this process has used
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// command is a line of the input, with what its kind needs.
type command struct {
	Do      string          `json:"do"`
	Path    string          `json:"path"`
	Request json.RawMessage `json:"request"`
	Times   int             `json:"times"`
}

// answer is a line of the output, with what the command asked for.
type answer struct {
	Error string `json:"error,omitempty"`
	// Flows are how many can be read of the ring.
	Flows uint64 `json:"flows,omitempty"`
	// Sent is how many flows a scan sent each time, Nanoseconds how long all
	// times took.
	Sent        uint64 `json:"sent,omitempty"`
	Nanoseconds int64  `json:"ns,omitempty"`
	Address     string `json:"address,omitempty"`
	// CPU is in nanoseconds, of user and system together.
	CPU int64 `json:"cpu,omitempty"`
}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "upstream:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	o, err := newObserver()
	if err != nil {
		return err
	}
	defer o.close()
	commands, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var c command
		if err := commands.Decode(&c); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read a command: %w", err)
		}
		a, err := o.do(c)
		if err != nil {
			a = answer{Error: fmt.Sprintf("%s: %v", c.Do, err)}
		}
		if err := answers.Encode(a); err != nil {
			return fmt.Errorf("write an answer: %w", err)
		}
	}
}

func (o *observer) do(c command) (answer, error) {
	switch c.Do {
	case "load":
		return o.load(c.Path)
	case "scan":
		return o.scan(c.Request, c.Times)
	case "listen":
		return o.listen()
	case "usage":
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			return answer{}, err
		}
		return answer{CPU: u.Utime.Nano() + u.Stime.Nano()}, nil
	}
	return answer{}, errors.New("no such command")
}
