package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/fovea-obs/fovea/agent/observer"
	"github.com/fovea-obs/fovea/hack/bench/child"
	"github.com/fovea-obs/fovea/hack/bench/sample"
	"github.com/fovea-obs/fovea/internal/rpc"
)

// childArgument has this program run as a child of itself.
const childArgument = "child"

// startChild starts this program as a child, which the caller must Stop.
func startChild(ctx context.Context) (*child.Child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	return child.Start(exec.CommandContext(ctx, self, childArgument))
}

// ours is what a child of this program has.
type ours struct {
	sample    *sample.Sample
	listening *listening
}

// runChild carries out commands until there are no more.
func runChild(in io.Reader, out io.Writer) (err error) {
	var o ours
	defer func() {
		if o.listening != nil {
			err = errors.Join(err, o.listening.Close())
		}
	}()
	return child.Serve(in, out, o.do)
}

func (o *ours) do(c child.Command) (a child.Answer, err error) {
	switch c.Do {
	case "fill":
		if o.sample, err = sample.New(sample.Flows); err != nil {
			return a, err
		}
		// As an agent does once it is ready.
		debug.FreeOSMemory()
		return child.Answer{Flows: o.sample.History.Next()}, nil
	case "listen":
		if o.listening, err = listen(context.Background(), o.sample.Server()); err != nil {
			return a, err
		}
		return child.Answer{Address: o.listening.Address}, nil
	case "usage":
		cpu, err := child.CPU()
		return child.Answer{CPU: cpu.Nanoseconds()}, err
	case "send":
		return sendTo(c.Program)
	}
	return a, errors.New("no such command")
}

// listening is a server on a loopback address.
type listening struct {
	Address string

	stop context.CancelFunc
	done chan error
}

// listen serves as an agent does over TCP, until ctx ends or Close is called.
func listen(ctx context.Context, s *observer.Server) (*listening, error) {
	l, err := rpc.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := rpc.New(rpc.Config{Header: metadata.Pairs(rpc.ServerVersion, "0.1.0")})
	observerpb.RegisterObserverServer(server, s)
	ctx, cancel := context.WithCancel(ctx)
	served := &listening{Address: l.Addr().String(), stop: cancel, done: make(chan error, 1)}
	go func() { served.done <- server.Serve(ctx, l) }()
	return served, nil
}

// Close ends the server.
func (l *listening) Close() error {
	l.stop()
	return <-l.done
}

func dial(address string, options ...grpc.DialOption) (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient(address, append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", address, err)
	}
	return conn, nil
}
