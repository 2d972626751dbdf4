package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/fovea-obs/fovea/hack/bench/child"
)

const (
	manyPeers  = 1000
	manyTurns  = 5
	manyNewest = 100
	// Each node has a flow every manyEvery, manyFlows times.
	manyEvery = 50 * time.Millisecond
	manyFlows = 200
	// Bounds of how long the newest flows of all take, in seconds, of the flows a second
	// that are followed, and of the relay's memory.
	manyBound    = 2.0
	manyRate     = 20_000
	manyRSSBound = 500.0 // MiB
	// manyPatience is how long connecting to all, and what is left to be told, may take.
	manyPatience = 30 * time.Second
)

// benchRelayPeers measures a relay of a thousand nodes: how long the newest flows take,
// whether it keeps up with what happens on all, and its memory. The nodes are servers as
// agents have them, but in one process and of one history: what happens there happens
// on all of them.
func benchRelayPeers(ctx context.Context, dir string) (_ []result, err error) {
	c, err := startChild(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	if _, err := c.Do(child.Command{Do: "fill", Times: relayFlows}); err != nil {
		return nil, err
	}
	a, err := c.Do(child.Command{Do: "listen as nodes", Times: manyPeers, Batches: true})
	if err != nil {
		return nil, err
	}
	var peers []string
	for i, address := range a.Addresses {
		peers = append(peers, fmt.Sprintf("node-%d=%s", i+1, address))
	}
	r, err := startRelay(ctx, dir, peers)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.stop()) }()
	var values []float64
	for range manyTurns {
		took, err := r.timeNewest(ctx, manyNewest)
		if err != nil {
			return nil, fmt.Errorf("ask for the newest flows: %w", err)
		}
		values = append(values, took.Seconds())
	}
	told, err := r.followMany(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("follow: %w", err)
	}
	peak, err := memoryMiB(r.PID(), "VmHWM")
	if err != nil {
		return nil, err
	}
	const all = manyPeers * manyFlows
	return []result{
		bounded("relay.peers.newest", "s", median(values), manyBound),
		{"relay.peers.rate", told.rate, "flows/s", "wanted", manyRate, told.rate / manyRate},
		{"relay.peers.missing", float64(all - told.flows), "flows", "flows made", all, float64(all-told.flows) / all},
		{"relay.peers.cpu", told.cores, "cores", "none", 0, 0},
		bounded("relay.peers.rss", "MiB", peak, manyRSSBound),
	}, nil
}

// followed is what came of a request that follows.
type followed struct {
	flows       int
	rate, cores float64
}

// followMany follows what a child has happen on its nodes.
func (r *relay) followMany(ctx context.Context, c *child.Child) (f followed, err error) {
	ctx, cancel := context.WithTimeout(ctx, manyPatience+manyFlows*manyEvery)
	defer cancel()
	appended := make(chan error, 1)
	started := false
	var begun, last time.Time
	var before time.Duration
	connected := 0
	// From a time on, so that nothing is missed of a node that is late to answer.
	req := &observerpb.GetFlowsRequest{Follow: true, Since: timestamppb.Now()}
	err = r.ask(ctx, req, func(read response) (err error) {
		switch {
		case read.isFlow:
			if f.flows++; f.flows == manyPeers*manyFlows {
				last = time.Now()
				return errEnough
			}
		case read.isStatus:
			if connected++; connected == manyPeers {
				if before, err = processCPU(r.PID()); err != nil {
					return err
				}
				begun, started = time.Now(), true
				go func() {
					_, err := c.Do(child.Command{Do: "append", Times: manyFlows, Every: manyEvery.Nanoseconds()})
					appended <- err
				}()
			}
		}
		return nil
	})
	if !started {
		return f, errors.Join(err, fmt.Errorf("%d of %d nodes are there", connected, manyPeers))
	}
	if last.IsZero() {
		switch {
		case err == nil:
			err = fmt.Errorf("it ended after %d flows", f.flows)
		case status.Code(err) == codes.DeadlineExceeded:
			// What did not come in time is told as missing.
			err = nil
		}
		last = time.Now()
	}
	after, failed := processCPU(r.PID())
	took := last.Sub(begun).Seconds()
	f.rate, f.cores = float64(f.flows)/took, (after-before).Seconds()/took
	return f, errors.Join(err, <-appended, failed)
}
