// Package machine makes a node of a lab a machine of its own: beside its
// network it gets a first process (command pid1), and with it process numbers,
// mounts and a host name that nothing else sees. Whatever is started on it, by
// whomever, ends with the first process, which ends with ours; its mounts go the
// same way, so that a test that is killed leaves files only.
//
// The directories /run, /var/lib and /var/log of a machine are its own, below
// [Config.Dir]. All other files, the kernel and the control groups are shared.
package machine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/fovea-obs/fovea/hack/lab"
)

// Config says what to make a machine of. All is required.
type Config struct {
	// Program is the path of command pid1.
	Program string
	Node    *lab.Node
	// Dir is an empty directory of the caller's for the machine's files.
	Dir string
}

// Machine runs processes. Its methods may be called from several goroutines at
// once.
type Machine struct {
	dir  string
	cmd  *exec.Cmd
	done chan struct{}
	err  error // of the first process, once done

	mu       sync.Mutex // a command and its answer belong together
	commands *os.File
	encoder  *json.Encoder
	answers  *os.File
	decoder  *json.Decoder
}

// Start starts a machine, on which nothing runs yet. The caller must Close it
// before the node.
func Start(c Config) (*Machine, error) {
	m := &Machine{dir: c.Dir, done: make(chan struct{})}
	for _, d := range Dirs() {
		if err := os.MkdirAll(filepath.Join(c.Dir, d), 0o755); err != nil {
			return nil, fmt.Errorf("make a machine's directory: %w", err)
		}
	}
	if err := os.MkdirAll(m.logs(), 0o755); err != nil {
		return nil, fmt.Errorf("make a machine's directory: %w", err)
	}
	if err := m.start(c); err != nil {
		return nil, fmt.Errorf("start machine %s: %w", c.Node.Name, err)
	}
	return m, nil
}

func (m *Machine) start(c Config) error {
	log, err := os.Create(filepath.Join(m.logs(), "pid1.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	in, commands, err := os.Pipe()
	if err != nil {
		return err
	}
	defer in.Close()
	answers, out, err := os.Pipe()
	if err != nil {
		return errors.Join(err, commands.Close())
	}
	defer out.Close()
	m.cmd = exec.Command(c.Program, c.Node.Name, c.Dir)
	m.cmd.Stdin, m.cmd.Stdout, m.cmd.Stderr = in, out, log
	// A session of its own keeps it from the terminal's signals.
	m.cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		Setsid:     true,
	}
	m.commands, m.encoder = commands, json.NewEncoder(commands)
	m.answers, m.decoder = answers, json.NewDecoder(answers)
	if err := c.Node.NS.Start(m.cmd); err != nil {
		return errors.Join(err, commands.Close(), answers.Close())
	}
	go func() {
		defer close(m.done)
		m.err = m.cmd.Wait()
	}()
	// It answers unasked once it is set up.
	if _, err := m.answer(); err != nil {
		return errors.Join(err, m.Close())
	}
	return nil
}

// Dir is where a directory of the machine, as /run, is found outside of it.
func (m *Machine) Dir(path string) string { return filepath.Join(m.dir, path) }

// Log is the path of the output of what was started by this name.
func (m *Machine) Log(name string) string { return filepath.Join(m.logs(), name+".log") }

func (m *Machine) logs() string { return filepath.Join(m.dir, "log") }

// Done is closed when the machine has ended, which it also does when something
// that was started on it ends unasked.
func (m *Machine) Done() <-chan struct{} { return m.done }

// PID is the number of the first process.
func (m *Machine) PID() int { return m.cmd.Process.Pid }

// Start starts a program on the machine. Its output goes to a file, [Machine.Log].
func (m *Machine) Start(name, path string, args ...string) error {
	if err := m.do(Command{Do: "start", Name: name, Path: path, Args: args, Env: os.Environ()}); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	return nil
}

// Stop ends what was started by this name, by SIGTERM and after some seconds by
// SIGKILL, and waits for it.
func (m *Machine) Stop(name string) error {
	if err := m.do(Command{Do: "stop", Name: name}); err != nil {
		return fmt.Errorf("stop %s: %w", name, err)
	}
	return nil
}

func (m *Machine) do(c Command) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.encoder.Encode(c); err != nil {
		return m.ended(err)
	}
	a, err := m.answer()
	if err == nil && a.Error != "" {
		err = errors.New(a.Error)
	}
	return err
}

func (m *Machine) answer() (Answer, error) {
	var a Answer
	if err := m.decoder.Decode(&a); err != nil {
		return Answer{}, m.ended(err)
	}
	return a, nil
}

// ended adds to an error what the first process last said.
func (m *Machine) ended(err error) error {
	if errors.Is(err, io.EOF) { // it is about to be waited for
		<-m.done
		err = fmt.Errorf("the machine's first process ended: %w", m.err)
	}
	text, readErr := os.ReadFile(m.Log("pid1"))
	return errors.Join(fmt.Errorf("%w: %s", err, text), readErr)
}

// Err is why a machine ended that was not closed; nil as long as it runs.
func (m *Machine) Err() error {
	select {
	case <-m.done:
		return m.ended(io.EOF)
	default:
		return nil
	}
}

// Close ends everything on the machine at once and waits until it is gone.
func (m *Machine) Close() error {
	if err := m.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill the machine's first process: %w", err)
	}
	<-m.done
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range []*os.File{m.commands, m.answers} {
		if err := f.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			return fmt.Errorf("close the machine's pipes: %w", err)
		}
	}
	return nil
}
