package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/fovea-obs/fovea/agent/observer"
	"github.com/fovea-obs/fovea/hack/bench/child"
	"github.com/fovea-obs/fovea/hack/bench/sample"
	"github.com/fovea-obs/fovea/internal/rpc"
	foveapb "github.com/fovea-obs/fovea/proto/v1"
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
	listening []*listening
}

// runChild carries out commands until there are no more.
func runChild(in io.Reader, out io.Writer) (err error) {
	var o ours
	defer func() {
		for _, l := range o.listening {
			err = errors.Join(err, l.Close())
		}
	}()
	return child.Serve(in, out, o.do)
}

func (o *ours) do(c child.Command) (a child.Answer, err error) {
	switch c.Do {
	case "fill":
		if o.sample, err = sample.NewLater(cmp.Or(c.Times, sample.Flows), time.Duration(c.After)); err != nil {
			return a, err
		}
		// As an agent does once it is ready.
		debug.FreeOSMemory()
		return child.Answer{Flows: o.sample.History.Next()}, nil
	case "listen":
		a.Address, err = o.listen(max(1, c.Node), c.Batches)
		return a, err
	case "listen as nodes":
		for node := range uint16(c.Times) {
			address, err := o.listen(node+1, c.Batches)
			if err != nil {
				return a, err
			}
			a.Addresses = append(a.Addresses, address)
		}
		return a, nil
	case "append":
		return o.append(c), nil
	case "usage":
		cpu, err := child.CPU()
		return child.Answer{CPU: cpu.Nanoseconds()}, err
	case "send":
		return sendTo(c.Program)
	}
	return a, errors.New("no such command")
}

// listen has one more server of the sample.
func (o *ours) listen(node uint16, batches bool) (address string, err error) {
	l, err := listen(context.Background(), o.sample.Server(node), batches)
	if err != nil {
		return "", err
	}
	o.listening = append(o.listening, l)
	return l.Address, nil
}

// append has flows happen now, until there were so many.
func (o *ours) append(c child.Command) (a child.Answer) {
	for next := time.Now().Add(time.Duration(c.After)); a.Sent < uint64(c.Times); next = next.Add(time.Duration(c.Every)) {
		<-time.After(time.Until(next))
		o.sample.Append(time.Now())
		o.sample.History.Notify()
		a.Sent++
	}
	return a
}

// listening is a server on a loopback address.
type listening struct {
	Address string

	stop context.CancelFunc
	done chan error
}

// listen serves as an agent does over TCP, until ctx ends or Close is called. One
// without batches is to a relay as Hubble's own are.
func listen(ctx context.Context, s *observer.Server, batches bool) (*listening, error) {
	l, err := rpc.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := rpc.New(rpc.Config{Header: metadata.Pairs(rpc.ServerVersion, "0.1.0")})
	observerpb.RegisterObserverServer(server, s)
	if batches {
		foveapb.RegisterBatchesServer(server, s.Batches())
	}
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
