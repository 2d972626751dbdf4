package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/fovea-obs/fovea/hack/process"
)

const (
	// maxComplaints is how many complaints are printed.
	maxComplaints = 20
	// maxKept is how many flows are kept for those who look for one.
	maxKept = 20_000
)

// follower takes all flows of an agent as they come.
type follower struct {
	judge func(*flowpb.Flow) []string

	mu         sync.Mutex
	sums       map[key]sum // of packets that passed
	drops      []*flowpb.Flow
	flows      int
	kept       []*flowpb.Flow // the first maxKept
	lost       uint64
	last       time.Time
	complaints []string
	waiters    map[*waiter]struct{}
	err        error // why there are no more
}

// waiter waits for a flow after which done is true.
type waiter struct {
	done    func(f *flowpb.Flow, k key) bool
	reached chan struct{}
}

// follow takes the agent's flows from since on, until the test ends. Each is
// judged, if there is a judge.
func follow(t *testing.T, a *process.Agent, since time.Time, judge func(*flowpb.Flow) []string) *follower {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	stream, err := a.Client.GetFlows(ctx, &observerpb.GetFlowsRequest{Follow: true, Since: timestamppb.New(since)})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	f := &follower{judge: judge, sums: map[key]sum{}, waiters: map[*waiter]struct{}{}}
	var wg sync.WaitGroup
	wg.Go(func() { f.receive(stream) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return f
}

func (f *follower) receive(stream observerpb.Observer_GetFlowsClient) {
	for {
		r, err := stream.Recv()
		if err != nil {
			f.end(err)
			return
		}
		switch {
		case r.GetFlow() != nil:
			f.add(r.GetFlow())
		case r.GetLostEvents() != nil:
			f.addLost(r.GetLostEvents())
		}
	}
}

func (f *follower) end(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
	for w := range f.waiters {
		f.release(w)
	}
}

// release needs the lock.
func (f *follower) release(w *waiter) {
	delete(f.waiters, w)
	close(w.reached)
}

func (f *follower) addLost(l *flowpb.LostEvent) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lost += l.NumEventsLost
}

func (f *follower) add(flow *flowpb.Flow) {
	var complaints []string
	if f.judge != nil {
		complaints = f.judge(flow)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.flows++
	if len(f.kept) < maxKept {
		f.kept = append(f.kept, flow)
	}
	if at := flow.GetTime().AsTime(); at.After(f.last) {
		f.last = at
	} else {
		complaints = append(complaints, fmt.Sprintf("time %v is not after %v", at, f.last))
	}
	f.complaints = append(f.complaints, complaints...)
	var k key
	if flow.GetVerdict() == flowpb.Verdict_DROPPED {
		// What the kernel sends by itself while an interface comes up is
		// dropped or not as the moment has it.
		if icmp := flow.GetL4().GetICMPv6(); icmp == nil || !housekeepingType(icmp.GetType()) {
			f.drops = append(f.drops, flow)
		}
	} else {
		k = keyOf(flow)
		s := f.sums[k]
		s.add(sumOf(flow))
		f.sums[k] = s
	}
	for w := range f.waiters {
		if w.done(flow, k) {
			f.release(w)
		}
	}
}

// await waits for a flow for which match is true, or returns one that came
// already.
func (f *follower) await(ctx context.Context, what string, match func(f *flowpb.Flow) bool) (*flowpb.Flow, error) {
	var found *flowpb.Flow
	w := &waiter{reached: make(chan struct{}), done: func(flow *flowpb.Flow, _ key) bool {
		if match(flow) {
			found = flow
		}
		return found != nil
	}}
	f.mu.Lock()
	if i := slices.IndexFunc(f.kept, match); i >= 0 {
		defer f.mu.Unlock()
		return f.kept[i], nil
	}
	f.waiters[w] = struct{}{}
	f.mu.Unlock()
	err := f.wait(ctx, what, w)
	return found, err
}

// find returns a flow that came already and for which match is true, or nil.
func (f *follower) find(match func(f *flowpb.Flow) bool) *flowpb.Flow {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := slices.IndexFunc(f.kept, match); i >= 0 {
		return f.kept[i]
	}
	return nil
}

func (f *follower) wait(ctx context.Context, what string, w *waiter) error {
	select {
	case <-w.reached:
	case <-ctx.Done():
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.waiters, w)
	select {
	case <-w.reached:
		return f.err
	default:
		return fmt.Errorf("wait for %s: %w", what, errors.Join(ctx.Err(), f.err))
	}
}

// awaitSums waits until at least so much was told. It returns what is missing
// if ctx ends before.
func (f *follower) awaitSums(ctx context.Context, want map[key]sum) (map[key]sum, error) {
	f.mu.Lock()
	missing := map[key]sum{}
	for k, s := range want {
		if f.sums[k].packets < s.packets {
			missing[k] = s
		}
	}
	if len(missing) == 0 {
		f.mu.Unlock()
		return nil, nil
	}
	w := &waiter{reached: make(chan struct{}), done: func(_ *flowpb.Flow, k key) bool {
		if s, ok := missing[k]; ok && f.sums[k].packets >= s.packets {
			delete(missing, k)
		}
		return len(missing) == 0
	}}
	f.waiters[w] = struct{}{}
	f.mu.Unlock()
	err := f.wait(ctx, fmt.Sprintf("%d sums", len(want)), w)
	return missing, err
}

// newest returns the time of the newest flow so far.
func (f *follower) newest() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last
}

// snapshot returns the sums so far.
func (f *follower) snapshot() map[key]sum {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.sums)
}

// snapshotOf returns those sums so far that are asked for.
func (f *follower) snapshotOf(keys map[key]sum) map[key]sum {
	all := f.snapshot()
	maps.DeleteFunc(all, func(k key, _ sum) bool { _, ok := keys[k]; return !ok })
	return all
}

// report fails the test for all that was wrong with the flows themselves.
func (f *follower) report(t *testing.T) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lost > 0 {
		t.Errorf("%d events lost", f.lost)
	}
	complain(t, f.complaints)
}

// dropped returns the flows of dropped packets so far.
func (f *follower) dropped() []*flowpb.Flow {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]*flowpb.Flow(nil), f.drops...)
}
