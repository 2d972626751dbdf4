// Package process runs fovea's agents and relays as processes of their own in the nodes of a
// lab, for the demo, tests and benchmarks.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/fovea-obs/fovea/hack/lab"
)

const (
	// startTimeout is how long an agent may take until it serves: the kernel looks at its
	// programs for seconds, and for longer where others want its cores too.
	startTimeout = 50 * time.Second
	// stopTimeout is how long it may take to end in good order.
	stopTimeout = 10 * time.Second
)

// Config says which agent to start. Program, Node and Dir are required.
type Config struct {
	// Program is the path of fovea.
	Program string
	Node    *lab.Node
	// Dir is a directory of the caller's for the agent's files.
	Dir string
	// Endpoints is the content of its endpoints file, none if empty.
	Endpoints string
	// Args are more options of fovea agent.
	Args []string
	// Log gets what the agent prints.
	Log io.Writer
	// Prepare may change the command before it starts.
	Prepare func(*exec.Cmd)
}

// Agent is a running agent, or a relay.
type Agent struct {
	// Socket is the path of its unix socket.
	Socket string
	// Client asks it.
	Client observerpb.ObserverClient

	conn *grpc.ClientConn
	cmd  *exec.Cmd
	done chan struct{}
	err  error // of the process, once done
}

// Start starts an agent in the node's network namespace and waits until it
// watches the interfaces that are there. The caller must Stop or Kill it.
func Start(ctx context.Context, c Config) (*Agent, error) {
	a := &Agent{Socket: filepath.Join(c.Dir, c.Node.Name+".sock"), done: make(chan struct{})}
	args := append([]string{
		"agent", "--node-name", c.Node.Name, "--socket-path", a.Socket, "--listen-address", "",
	}, c.Args...)
	if c.Endpoints != "" {
		file := filepath.Join(c.Dir, c.Node.Name+".yaml")
		if err := os.WriteFile(file, []byte(c.Endpoints), 0o600); err != nil {
			return nil, fmt.Errorf("write endpoints: %w", err)
		}
		args = append(args, "--endpoints", file)
	}
	a.cmd = exec.Command(c.Program, args...)
	a.cmd.Stdout, a.cmd.Stderr = c.Log, c.Log
	if c.Prepare != nil {
		c.Prepare(a.cmd)
	}
	return a, a.begin(ctx, c.Node.NS.Start, "unix://"+a.Socket)
}

// StartRelay starts a relay in a network namespace, or in that of this process if ns is nil,
// that asks these nodes, by name and address, and waits until it serves. The caller must
// Stop or Kill it.
func StartRelay(
	ctx context.Context, program string, ns *lab.Namespace, dir string, peers []string, log io.Writer, args ...string,
) (*Agent, error) {
	a := &Agent{Socket: filepath.Join(dir, "relay.sock"), done: make(chan struct{})}
	a.cmd = exec.Command(program, append([]string{
		"relay", "--name", "relay", "--listen-address", "unix://" + a.Socket, "--health-listen-address", "unix://" + a.Socket + ".health",
		"--disable-client-tls", "--disable-server-tls", "--peers", strings.Join(peers, ","),
	}, args...)...)
	a.cmd.Stdout, a.cmd.Stderr = log, log
	start := startHere
	if ns != nil {
		start = ns.Start
	}
	return a, a.begin(ctx, start, "unix://"+a.Socket)
}

// StartCommand starts a command that serves Hubble's Observer at an address, and waits
// until it does. The process gets SIGKILL when this one ends in any way. The caller must
// Stop or Kill it.
func StartCommand(ctx context.Context, cmd *exec.Cmd, address string) (*Agent, error) {
	a := &Agent{cmd: cmd, done: make(chan struct{})}
	return a, a.begin(ctx, startHere, address)
}

// startHere starts cmd in the network namespace of this process. The thread must live for
// as long as the process is to.
func startHere(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd.Start()
}

// begin has the process started, connects to it at the target, where it is to serve, and
// waits until it does. It ends it if that fails.
func (a *Agent) begin(ctx context.Context, start func(*exec.Cmd) error, target string) error {
	return a.beginAt(ctx, start, target, a.serves)
}

// beginAt is begin for a process that says by ready whether it serves.
func (a *Agent) beginAt(
	ctx context.Context, start func(*exec.Cmd) error, target string, ready func(context.Context) (bool, error), opts ...grpc.DialOption,
) error {
	started := make(chan error, 1)
	go a.run(start, started)
	if err := <-started; err != nil {
		<-a.done
		return fmt.Errorf("start agent: %w", err)
	}
	conn, err := grpc.NewClient(target, append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		return errors.Join(fmt.Errorf("connect to agent: %w", err), a.Kill())
	}
	a.conn, a.Client = conn, observerpb.NewObserverClient(conn)
	if err := a.await(ctx, ready); err != nil {
		return errors.Join(err, a.Kill())
	}
	return nil
}

// run keeps its thread for as long as the process lives: the kernel sends a process its
// parent death signal when the thread that started it ends.
func (a *Agent) run(start func(*exec.Cmd) error, started chan<- error) {
	defer close(a.done)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := start(a.cmd)
	started <- err
	if err == nil {
		a.err = a.cmd.Wait()
	}
}

// serves tells whether the agent says that it serves.
func (a *Agent) serves(ctx context.Context) (bool, error) {
	r, err := grpc_health_v1.NewHealthClient(a.conn).Check(ctx,
		&grpc_health_v1.HealthCheckRequest{Service: "hubble.server.Observer"}, grpc.WaitForReady(true))
	return r.GetStatus() == grpc_health_v1.HealthCheckResponse_SERVING, err
}

// await waits until the agent is ready.
func (a *Agent) await(ctx context.Context, ready func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	go func() {
		select {
		case <-a.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	for {
		is, err := ready(ctx)
		if err == nil && is {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the agent: %w", errors.Join(ctx.Err(), err))
		case <-a.done:
			return fmt.Errorf("the agent ended: %w", a.err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// Healthy waits until the process says of its health that it serves.
func (a *Agent) Healthy(ctx context.Context) error { return a.await(ctx, a.serves) }

// Done is closed when the process has ended.
func (a *Agent) Done() <-chan struct{} { return a.done }

// PID is the process's number.
func (a *Agent) PID() int { return a.cmd.Process.Pid }

// Stop ends the agent in good order. It fails if the agent does not end, or not
// with status 0.
func (a *Agent) Stop() error {
	if err := a.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop agent: %w", err)
	}
	select {
	case <-a.done:
	case <-time.After(stopTimeout):
		return errors.Join(fmt.Errorf("the agent did not end in %v", stopTimeout), a.Kill())
	}
	if err := errors.Join(a.err, a.close()); err != nil {
		return fmt.Errorf("stop agent: %w", err)
	}
	return nil
}

// Kill ends the agent by SIGKILL.
func (a *Agent) Kill() error {
	if err := a.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill agent: %w", err)
	}
	<-a.done
	return a.close()
}

func (a *Agent) close() error {
	if a.conn == nil {
		return nil
	}
	return a.conn.Close()
}
