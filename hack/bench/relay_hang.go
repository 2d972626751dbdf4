package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	hangTurns  = 3
	hangNumber = 20
	hangBound  = 2.5 // s
	// hangMost is how long a relay is waited for.
	hangMost = 5 * time.Second
)

// benchRelayHang measures how long the newest flows take to come while one of four nodes
// is frozen: its process is stopped, and its connections stay.
func benchRelayHang(ctx context.Context, dir string) (_ []result, err error) {
	r, err := startRelays(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.stop()) }()
	thaw, err := r.nodes.freeze()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, thaw()) }()
	var results []result
	for _, m := range []struct {
		name  string
		relay *relay
	}{{"relay.hang", r.batched}, {"relay.hang_plain", r.plain}} {
		values, baselines, err := inTurns(hangTurns, m.relay.newest(ctx, true), r.hubble.newest(ctx, false))
		if err != nil {
			return results, fmt.Errorf("%s: %w", m.name, err)
		}
		took := compared(m.name, "s", hubbleRelay, values, baselines)
		results = append(results, took, bounded(m.name+".bound", took.Unit, took.Value, hangBound))
	}
	return results, nil
}

// errNumber is that more or fewer flows came than were asked for.
var errNumber = errors.New("another number of flows came")

// newest returns a measurement of how long the newest flows take, in seconds. One that
// must answer fails if it does not in hangMost, or not with as many as are asked for:
// Hubble's relay tells so many of each node, if it does.
func (r *relay) newest(ctx context.Context, must bool) func() (float64, error) {
	return func() (float64, error) {
		ctx, cancel := context.WithTimeout(ctx, hangMost)
		defer cancel()
		took, err := r.timeNewest(ctx, hangNumber)
		if !must && (status.Code(err) == codes.DeadlineExceeded || errors.Is(err, errNumber)) {
			err = nil
		}
		return took.Seconds(), err
	}
}

// timeNewest is how long so many of the newest flows take to come. It fails if as many do
// not.
func (r *relay) timeNewest(ctx context.Context, number uint64) (time.Duration, error) {
	flows, begun := uint64(0), time.Now()
	err := r.ask(ctx, &observerpb.GetFlowsRequest{Number: number}, func(read response) error {
		if read.isFlow {
			flows++
		}
		return nil
	})
	if err == nil && flows != number {
		err = fmt.Errorf("%w: %d, not %d", errNumber, flows, number)
	}
	return time.Since(begun), err
}
