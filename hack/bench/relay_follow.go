package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const (
	// followFlows happen on each node, one every followEvery.
	followFlows = 30
	followEvery = time.Second
	lagBound    = 250.0 // ms
	// lagPatience is how long after the last flow ours may take to tell it.
	lagPatience = 5 * time.Second
)

// benchRelayFollow measures how long after a flow a client that follows has it, when
// little happens. All relays tell of the same flows, at the same time. What Hubble's has
// not told when ours has told all counts as told then.
func benchRelayFollow(ctx context.Context, dir string) (_ []result, err error) {
	r, err := startRelays(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.stop()) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	since := time.Now()
	batched, plain, hubble := r.batched.follow(ctx, since), r.plain.follow(ctx, since), r.hubble.follow(ctx, since)
	err = r.nodes.append(followFlows, followEvery)
	const all = followFlows * relayNodes
	err = errors.Join(err, batched.wait(ctx, all), plain.wait(ctx, all))
	over := time.Now()
	cancel()
	for _, f := range []*following{batched, plain, hubble} {
		if failed := <-f.done; failed != nil && over.After(f.ended) {
			err = errors.Join(err, failed)
		}
	}
	if err != nil {
		return nil, err
	}
	var results []result
	for _, m := range []struct {
		name string
		told *following
	}{{"relay.follow_lag", batched}, {"relay.follow_lag_plain", plain}} {
		ours, theirs := m.told.lag(m.told.told, over), hubble.lag(m.told.told, over)
		results = append(results,
			result{m.name, ours, "ms, of 99%", hubbleRelay, theirs, ours / theirs},
			bounded(m.name+".bound", "ms, of 99%", ours, lagBound))
	}
	return results, nil
}

// following is a request that follows.
type following struct {
	done chan error

	mu sync.Mutex
	// told is when each flow came, by its time in nanoseconds since 1970.
	told map[int64]time.Time
	// changed is closed when another flow has come.
	changed chan struct{}
	// ended is when the request did, once that is done.
	ended time.Time
}

// follow follows what happens from a time on, until ctx ends.
func (r *relay) follow(ctx context.Context, since time.Time) *following {
	f := &following{done: make(chan error, 1), told: map[int64]time.Time{}, changed: make(chan struct{})}
	go func() {
		err := r.ask(ctx, &observerpb.GetFlowsRequest{Follow: true, Since: timestamppb.New(since)}, f.take)
		f.ended = time.Now()
		f.done <- err
	}()
	return f
}

func (f *following) take(read response) error {
	if !read.isFlow {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told[read.at.UnixNano()] = time.Now()
	close(f.changed)
	f.changed = make(chan struct{})
	return nil
}

// wait returns when so many flows have come.
func (f *following) wait(ctx context.Context, flows int) error {
	ctx, cancel := context.WithTimeout(ctx, lagPatience)
	defer cancel()
	for {
		f.mu.Lock()
		told, changed := len(f.told), f.changed
		f.mu.Unlock()
		if told == flows {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%d flows came, not %d: %w", told, flows, ctx.Err())
		}
	}
}

// lag is that of 99 % of the flows of times, at most, in milliseconds. What was not told
// when it was over counts as told then.
func (f *following) lag(times map[int64]time.Time, over time.Time) float64 {
	var lags []float64
	for at := range times {
		told, ok := f.told[at]
		if !ok {
			told = over
		}
		lags = append(lags, float64(told.Sub(time.Unix(0, at)))/float64(time.Millisecond))
	}
	slices.Sort(lags)
	return lags[(len(lags)-1)*99/100]
}
