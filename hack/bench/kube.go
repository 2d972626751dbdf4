package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/grpc"

	"github.com/fovea-obs/fovea/hack/apiserver"
)

const (
	kubeRSSBound   = 120.0 // MiB
	kubeStartBound = 5.0   // s
	kubeStarts     = 3
	// kubeTimeout is how long an agent may take to know a cluster.
	kubeTimeout = time.Minute
)

// benchKube measures an agent that takes names from the API of a large cluster:
// how long after its start it has them all, and its memory then.
func benchKube(ctx context.Context, dir string) (_ []result, err error) {
	files := filepath.Join(dir, "kubernetes")
	if err := os.Mkdir(files, 0o755); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "kubernetes.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	server, err := apiserver.Start(ctx, files, log)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	if err := populate(ctx, server); err != nil {
		return nil, fmt.Errorf("fill the cluster: %w", err)
	}
	var starts []float64
	var worst float64
	for range kubeStarts {
		start, rss, err := followOnce(ctx, dir, server.Kubeconfig)
		if err != nil {
			return nil, err
		}
		starts, worst = append(starts, start.Seconds()), max(worst, rss)
	}
	return []result{
		bounded("kube.rss", "MiB", worst, kubeRSSBound),
		bounded("kube.start", "s", median(starts), kubeStartBound),
	}, nil
}

// followOnce starts an agent that follows no interface, and returns when it knew
// all, and the most memory that it had from then on for a while.
func followOnce(ctx context.Context, dir, kubeconfig string) (start time.Duration, rss float64, err error) {
	socket := filepath.Join(dir, "kube.sock")
	agent := exec.CommandContext(ctx, program(dir), "agent", "--kubeconfig", kubeconfig, "--node-name", "node-0",
		"--socket-path", socket, "--listen-address", "", "--interfaces", "none-of-this-name", "--log-level", "warn")
	agent.Stderr = os.Stderr
	agent.Cancel = func() error { return agent.Process.Signal(syscall.SIGTERM) }
	begin := time.Now()
	if err := agent.Start(); err != nil {
		return 0, 0, fmt.Errorf("start the agent: %w", err)
	}
	defer func() {
		err = errors.Join(err, agent.Cancel(), agent.Wait())
	}()
	conn, err := dial("unix://" + socket)
	if err != nil {
		return 0, 0, err
	}
	defer conn.Close()
	if err := awaitKubernetes(ctx, conn); err != nil {
		return 0, 0, err
	}
	start = time.Since(begin)
	for range 10 {
		select {
		case <-ctx.Done():
			return 0, 0, ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
		now, err := residentMiB(agent.Process.Pid)
		if err != nil {
			return 0, 0, err
		}
		rss = max(rss, now)
	}
	return start, rss, nil
}

// awaitKubernetes waits until the agent's status no longer says that it lacks
// something of Kubernetes.
func awaitKubernetes(ctx context.Context, conn *grpc.ClientConn) error {
	ctx, cancel := context.WithTimeout(ctx, kubeTimeout)
	defer cancel()
	client := observerpb.NewObserverClient(conn)
	for {
		r, err := client.ServerStatus(ctx, &observerpb.ServerStatusRequest{}, grpc.WaitForReady(true))
		if err == nil && !strings.Contains(r.GetVersion(), "kubernetes") {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the agent to know the cluster: %w", errors.Join(ctx.Err(), err))
		case <-time.After(10 * time.Millisecond):
		}
	}
}
