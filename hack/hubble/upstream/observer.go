package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"sync"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	v1 "github.com/cilium/cilium/pkg/hubble/api/v1"
	"github.com/cilium/cilium/pkg/hubble/container"
	hubble "github.com/cilium/cilium/pkg/hubble/observer"
	"github.com/cilium/cilium/pkg/hubble/observer/namespace"
	"github.com/cilium/cilium/pkg/hubble/observer/observeroption"
	"github.com/cilium/cilium/pkg/hubble/server"
	"github.com/cilium/cilium/pkg/hubble/server/serveroption"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/encoding/protojson"
)

// observer is the server under measurement, with the largest ring there is.
type observer struct {
	log    *slog.Logger
	server *hubble.LocalObserverServer

	// served is what listens, if something does, and serving waits for it.
	served  *server.Server
	serving sync.WaitGroup
}

func newObserver() (*observer, error) {
	o := &observer{log: slog.New(slog.DiscardHandler)}
	// Nothing is decoded: flows go into the ring as they are.
	s, err := hubble.NewLocalServer(nil, namespace.NewManager(), o.log,
		observeroption.WithMaxFlows(container.Capacity65535))
	if err != nil {
		return nil, fmt.Errorf("make the observer: %w", err)
	}
	o.server = s
	return o, nil
}

func (o *observer) close() {
	if o.served != nil {
		o.served.Stop()
	}
	o.serving.Wait()
}

// load writes a file's flows to the ring.
func (o *observer) load(path string) (answer, error) {
	file, err := os.Open(path)
	if err != nil {
		return answer{}, err
	}
	defer file.Close()
	in := bufio.NewReader(file)
	for {
		f := &flowpb.Flow{}
		if err := protodelim.UnmarshalFrom(in, f); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return answer{}, fmt.Errorf("read a flow: %w", err)
		}
		o.server.GetRingBuffer().Write(&v1.Event{Timestamp: f.GetTime(), Event: f})
	}
	// What it took to read them is not part of any measurement.
	runtime.GC()
	sent, _, err := o.get(&observerpb.GetFlowsRequest{First: true, Number: 1 << 32})
	return answer{Flows: sent}, err
}

// scan measures a request without a connection.
func (o *observer) scan(text json.RawMessage, times int) (answer, error) {
	req := &observerpb.GetFlowsRequest{}
	if err := protojson.Unmarshal(text, req); err != nil {
		return answer{}, fmt.Errorf("read the request: %w", err)
	}
	var a answer
	for range times {
		sent, took, err := o.get(req)
		if err != nil {
			return answer{}, err
		}
		a.Sent = sent
		a.Nanoseconds += took.Nanoseconds()
	}
	return a, nil
}

func (o *observer) get(req *observerpb.GetFlowsRequest) (sent uint64, took time.Duration, err error) {
	s := &counter{}
	begun := time.Now()
	err = o.server.GetFlows(req, s)
	return s.sent, time.Since(begun), err
}

// listen serves as a Hubble agent does over TCP.
func (o *observer) listen() (answer, error) {
	if o.served != nil {
		return answer{}, errors.New("already serving")
	}
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return answer{}, err
	}
	s, err := server.NewServer(o.log,
		func(opts *serveroption.Options) error { opts.Listener = l; return nil },
		serveroption.WithInsecure(),
		serveroption.WithHealthService(),
		serveroption.WithObserverService(o.server),
	)
	if err != nil {
		return answer{}, errors.Join(err, l.Close())
	}
	o.served = s
	o.serving.Go(func() {
		if err := s.Serve(); err != nil {
			fmt.Fprintln(os.Stderr, "upstream: serve:", err)
		}
	})
	return answer{Address: l.Addr().String()}, nil
}

// counter is the server's side of a call of GetFlows that goes nowhere.
type counter struct {
	grpc.ServerStream
	sent uint64
}

func (c *counter) Context() context.Context { return context.Background() }

func (c *counter) Send(r *observerpb.GetFlowsResponse) error {
	if r.GetFlow() != nil {
		c.sent++
	}
	return nil
}
