// Command demo shows fovea at work on a small network of its own: two nodes
// with pods, a service, and a rule that drops. It starts the agent of one node,
// makes traffic and asks the agent with the stock hubble command line.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"github.com/fovea-obs/fovea/hack/lab"
	"github.com/fovea-obs/fovea/hack/process"
	"github.com/fovea-obs/fovea/hack/stock"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	if len(os.Args) != 2 {
		return errors.New("usage: demo FOVEA, the path of the program to show")
	}
	hubble, err := stock.Hubble(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "fovea-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	l, err := lab.New()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	s, err := newShop(l)
	if err != nil {
		return err
	}
	a, err := process.Start(ctx, process.Config{
		Program: os.Args[1], Node: s.node, Dir: dir, Endpoints: s.endpoints(),
		Args: []string{"--log-level", "warn"}, Log: os.Stderr,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Stop()) }()
	if err := s.traffic(ctx); err != nil {
		return err
	}
	return show(ctx, hubble, a.Socket)
}

// show runs the stock hubble with what a user would ask first.
func show(ctx context.Context, hubble, socket string) error {
	for _, args := range []string{
		"status",
		"observe --last 30",
		"observe --verdict DROPPED",
		"observe --pod shop/client --protocol tcp --last 4 -o dict",
		"observe --to-service shop/web --last 1 -o json",
		"list nodes",
		"list namespaces",
	} {
		fmt.Printf("\n$ hubble %s\n", args)
		cmd := exec.CommandContext(ctx, hubble, append(strings.Fields(args), "--server", "unix://"+socket)...)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("hubble %s: %w", args, err)
		}
	}
	return nil
}
