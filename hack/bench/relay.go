package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
)

const (
	relayTurns = 4
	// Bounds of a relay's CPU time, in microseconds for each flow, and of its memory.
	relayBound      = 1.2
	relayPlainBound = 2.2
	relayRSSBound   = 40.0 // MiB

	hubbleRelay = "Hubble's relay"
)

// relays are nodes and what relays them.
type relays struct {
	nodes *nodes
	// batched and plain are ours, of servers with and without batches. hubble is
	// Hubble's, of the latter.
	batched, plain, hubble *relay
}

// startRelays starts nodes and relays, which the caller must stop.
func startRelays(ctx context.Context, dir string) (r *relays, err error) {
	r = &relays{}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.stop())
		}
	}()
	if r.nodes, err = startNodes(ctx); err != nil {
		return r, err
	}
	if r.batched, err = startRelay(ctx, dir, r.nodes.batched); err != nil {
		return r, err
	}
	if r.plain, err = startRelay(ctx, dir, r.nodes.plain); err != nil {
		return r, err
	}
	r.hubble, err = startHubbleRelay(ctx, dir, r.nodes.plain)
	return r, err
}

func (r *relays) stop() (err error) {
	for _, one := range []*relay{r.batched, r.plain, r.hubble} {
		if one != nil {
			err = errors.Join(err, one.stop())
		}
	}
	if r.nodes != nil {
		err = errors.Join(err, r.nodes.stop())
	}
	return err
}

// benchRelay measures the CPU time of a relay for each flow that it tells of the history
// of four nodes, how many it tells out of order, and its memory after that.
func benchRelay(ctx context.Context, dir string) (_ []result, err error) {
	r, err := startRelays(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.stop()) }()
	var results []result
	for _, m := range []struct {
		name  string
		relay *relay
		bound float64
	}{{"", r.batched, relayBound}, {"_plain", r.plain, relayPlainBound}} {
		var ours, theirs allFlows
		values, baselines, err := inTurns(relayTurns, ours.of(ctx, m.relay), theirs.of(ctx, r.hubble))
		if err != nil {
			return results, fmt.Errorf("relay.cpu%s: %w", m.name, err)
		}
		// The first turn is a warm-up.
		cpu := compared("relay.cpu"+m.name, "us CPU/flow", hubbleRelay, values[1:], baselines[1:])
		late := result{"relay.order" + m.name, slices.Max(ours.disordered), "flows out of order", hubbleRelay, median(theirs.disordered), 0}
		// Hubble's relay may have none.
		late.Ratio = late.Value / max(late.BaselineValue, 1)
		results = append(results, cpu, bounded(cpu.Name+".bound", cpu.Unit, cpu.Value, m.bound), late)
	}
	rss, err := residentMiB(r.batched.PID())
	return append(results, bounded("relay.rss", "MiB", rss, relayRSSBound)), err
}

// allFlows is what came of asking a relay for all flows, some times.
type allFlows struct{ disordered []float64 }

// of returns a measurement of what a flow costs the relay, in microseconds.
func (h *allFlows) of(ctx context.Context, r *relay) func() (float64, error) {
	return func() (float64, error) {
		before, err := processCPU(r.PID())
		if err != nil {
			return 0, err
		}
		flows, disordered := 0, 0.0
		var last time.Time
		err = r.ask(ctx, &observerpb.GetFlowsRequest{}, func(read response) error {
			if !read.isFlow {
				return nil
			}
			flows++
			if read.at.Before(last) {
				disordered++
			} else {
				last = read.at
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
		if flows != relayNodes*relayFlows {
			return 0, fmt.Errorf("%d flows came, not %d", flows, relayNodes*relayFlows)
		}
		h.disordered = append(h.disordered, disordered)
		after, err := processCPU(r.PID())
		return float64((after - before).Nanoseconds()) / 1e3 / float64(flows), err
	}
}
