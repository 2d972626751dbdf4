package e2e

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	relaypb "github.com/cilium/cilium/api/v1/relay"

	"github.com/fovea-obs/fovea/hack/process"
)

// view is what a client sees that follows, through a relay or at an agent.
type view struct {
	mu      sync.Mutex
	changed chan struct{}
	flows   map[string][]sighting // by node
	told    []telling
	gaps    map[string]int // how often it was told that flows of a node were lost
	err     error          // of the stream, once it ended
}

// sighting is a flow: when it was, and when the client had it.
type sighting struct {
	uuid     string
	at, came time.Time
}

// telling is what was told of a node, and when.
type telling struct {
	node  string
	state relaypb.NodeState
	why   string
	came  time.Time
}

// follow has a client follow the beats through the relay, from when flows of all members
// come until the test ends.
func (c *cluster) follow(t *testing.T) *view {
	t.Helper()
	return viewOf(t, c.relay, c.members...)
}

// viewOf has a client follow the beats, from when flows of these members come until the
// test ends.
func viewOf(t *testing.T, of *process.Agent, members ...*member) *view {
	t.Helper()
	v := &view{changed: make(chan struct{}), flows: map[string][]sighting{}, gaps: map[string]int{}}
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := of.Client.GetFlows(ctx, &observerpb.GetFlowsRequest{Follow: true, Whitelist: beats()})
	check(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			r, err := stream.Recv()
			v.take(r, err)
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	for _, m := range members {
		v.awaitFlow(t, m, time.Time{})
	}
	return v
}

func (v *view) take(r *observerpb.GetFlowsResponse, err error) {
	now := time.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	close(v.changed)
	v.changed = make(chan struct{})
	v.err = err
	for _, n := range r.GetNodeStatus().GetNodeNames() {
		v.told = append(v.told, telling{n, r.GetNodeStatus().GetStateChange(), r.GetNodeStatus().GetMessage(), now})
	}
	if r.GetLostEvents() != nil {
		v.gaps[r.GetNodeName()]++
	}
	if f := r.GetFlow(); f != nil {
		v.flows[r.GetNodeName()] = append(v.flows[r.GetNodeName()], sighting{f.GetUuid(), r.GetTime().AsTime(), now})
	}
}

// await waits until something is so, and looks when anything came.
func (v *view) await(t *testing.T, what string, is func() bool) {
	t.Helper()
	ctx := testContext(t)
	for {
		v.mu.Lock()
		ok, changed, err := is(), v.changed, v.err
		v.mu.Unlock()
		if ok {
			return
		}
		check(t, err)
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("there was not %s; told was %v", what, v.tellings(time.Time{}))
		}
	}
}

// awaitFlow waits for a flow of a member to come after a time, and returns the first.
func (v *view) awaitFlow(t *testing.T, m *member, after time.Time) (got sighting) {
	t.Helper()
	v.await(t, "a flow of "+m.Name, func() bool {
		list := v.flows[m.Name]
		i := slices.IndexFunc(list, func(s sighting) bool { return s.came.After(after) })
		if i >= 0 {
			got = list[i]
		}
		return i >= 0
	})
	return got
}

// awaitLater waits until a flow of a member is told that was after a time. Its agent has
// then told all that was before.
func (v *view) awaitLater(t *testing.T, m *member, at time.Time) {
	t.Helper()
	v.await(t, "later flows of "+m.Name, func() bool {
		list := v.flows[m.Name]
		return len(list) > 0 && list[len(list)-1].at.After(at)
	})
}

// awaitTold waits until a state of a node is told after a time, and returns the first.
func (v *view) awaitTold(t *testing.T, node string, after time.Time, states ...relaypb.NodeState) (got telling) {
	t.Helper()
	v.await(t, fmt.Sprintf("%v of %s", states, node), func() bool {
		i := slices.IndexFunc(v.told, func(s telling) bool {
			return s.node == node && s.came.After(after) && slices.Contains(states, s.state)
		})
		if i >= 0 {
			got = v.told[i]
		}
		return i >= 0
	})
	return got
}

// tellings are all that came after a time.
func (v *view) tellings(after time.Time) (list []telling) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, s := range v.told {
		if s.came.After(after) {
			list = append(list, s)
		}
	}
	return list
}
