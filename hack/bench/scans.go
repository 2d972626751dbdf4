package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	"github.com/cilium/ebpf"

	"github.com/fovea-obs/fovea/agent/ingest"
	"github.com/fovea-obs/fovea/agent/observer"
	"github.com/fovea-obs/fovea/bpf"
	benchbpf "github.com/fovea-obs/fovea/hack/bench/bpf"
	"github.com/fovea-obs/fovea/hack/bench/child"
	"github.com/fovea-obs/fovea/hack/bench/sample"
)

// scanners is how many clients go over the history at a time.
const scanners = 4

// benchIngestUnderQuery counts what is lost at a million events a second while
// clients go over the whole of a full history without a pause. Another process
// sends the packets: the kernel's do not wait for our goroutines either.
func benchIngestUnderQuery(ctx context.Context, _ string) (_ []result, err error) {
	s, err := sample.New(sample.Flows)
	if err != nil {
		return nil, err
	}
	c := &counted{Ingest: ingest.Ingest{
		History: s.History, Endpoints: s.Endpoints, Services: s.Services, Names: s.Names, Fates: s.Fates, MACs: s.MACs, Policies: s.Policies,
	}}
	sender, err := startChild(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, sender.Stop()) }()
	d, p, err := openDatapath(false, bpf.FoveaProgFromEndpoint)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.Close(), d.Close()) }()
	info, err := p.Info()
	if err != nil {
		return nil, fmt.Errorf("ask for the program's number: %w", err)
	}
	id, _ := info.ID()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var l load
	taken := make(chan error, 1)
	go func() { taken <- takeEvents(ctx, d, c, &l) }()
	<-d.Ready()
	scanned := startScans(ctx, s.Server(1))
	a, err := sender.Do(child.Command{Do: "send", Program: uint32(id)})
	cancel()
	perScan, scanErr := scanned()
	if err := errors.Join(err, scanErr, <-taken); err != nil {
		return nil, err
	}
	if c.events > a.Sent {
		return nil, fmt.Errorf("%d events sent, %d taken", a.Sent, c.events)
	}
	// All that were in the ring have been taken by now. The agent tells of
	// losses once a second: too late for the last ones.
	sent, lost := float64(a.Sent), float64(a.Sent-c.events)
	rate := sent / time.Duration(a.Nanoseconds).Seconds()
	return []result{
		{"ingest_under_query", lost, "events", "events sent", sent, lost / sent},
		{"ingest_under_query.rate", rate, "events/s", "wanted", eventRate, rate / eventRate},
		{"ingest_under_query.scan", perScan.Seconds() * 1e3, "ms", "none", 0, 0},
	}, nil
}

// startScans has clients ask for the dropped flows of the whole history until
// ctx ends. The function that it returns waits for them, and tells how long a
// scan took.
func startScans(ctx context.Context, server *observer.Server) func() (time.Duration, error) {
	req := &observerpb.GetFlowsRequest{Whitelist: sample.Dropped()}
	var group sync.WaitGroup
	var counts [scanners]int
	var errs [scanners]error
	begun := time.Now()
	for i := range scanners {
		group.Go(func() {
			for ctx.Err() == nil {
				if err := server.GetFlows(req, newDiscard(ctx)); err != nil && ctx.Err() == nil {
					errs[i] = fmt.Errorf("scan: %w", err)
					return
				}
				counts[i]++
			}
		})
	}
	return func() (time.Duration, error) {
		group.Wait()
		elapsed := time.Since(begun)
		scans := 0
		for _, n := range counts {
			scans += n
		}
		return elapsed * scanners / time.Duration(max(scans, 1)), errors.Join(errs[:]...)
	}
}

// sendTo has the program with this number see packets, for the process that
// loaded it.
func sendTo(number uint32) (child.Answer, error) {
	var h benchbpf.BenchObjects
	if err := benchbpf.LoadBenchObjects(&h, nil); err != nil {
		return child.Answer{}, fmt.Errorf("load the harness: %w", err)
	}
	defer h.Close()
	p, err := ebpf.NewProgramFromID(ebpf.ProgramID(number))
	if err != nil {
		return child.Answer{}, fmt.Errorf("find the program: %w", err)
	}
	defer p.Close()
	if err := h.Target.Put(uint32(0), p); err != nil {
		return child.Answer{}, fmt.Errorf("choose the program: %w", err)
	}
	sent, rate, err := sendEvents(context.Background(), &h)
	if err != nil {
		return child.Answer{}, err
	}
	return child.Answer{Sent: sent, Nanoseconds: int64(float64(sent) / rate * 1e9)}, nil
}
