package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// figures are what a client saw of a node.
type figures struct {
	flows int
	// gap is the longest time for which no flow came, and pause that for which none
	// was: it is of what the test does, and of the machine. lag is the longest that a
	// flow was under way.
	gap, pause, lag time.Duration
	// lost are those that the agent has and that did not come, doubled those that came
	// more than once. gaps is how often it was told that some were lost.
	lost, doubled, gaps int
}

func (f figures) String() string {
	return fmt.Sprintf("%d flows, longest gap %v (of the flows themselves %v), longest on its way %v, %d lost, %d doubled, %d gaps told",
		f.flows, f.gap.Round(time.Millisecond), f.pause.Round(time.Millisecond), f.lag.Round(time.Millisecond), f.lost, f.doubled, f.gaps)
}

// of returns the figures of a member: gaps and lags since a time, and losses from its
// first flow to now.
func (v *view) of(t *testing.T, m *member, since time.Time) figures {
	t.Helper()
	until := time.Now()
	v.awaitLater(t, m, until)
	v.mu.Lock()
	list, f := slices.Clone(v.flows[m.Name]), figures{gaps: v.gaps[m.Name]}
	v.mu.Unlock()
	seen := map[string]bool{}
	before := sighting{at: since, came: since}
	for _, s := range list {
		if seen[s.uuid] {
			f.doubled++
		}
		seen[s.uuid] = true
		if s.came.Before(since) {
			continue
		}
		f.flows++
		f.gap, f.lag = max(f.gap, s.came.Sub(before.came)), max(f.lag, s.came.Sub(s.at))
		f.pause = max(f.pause, s.at.Sub(before.at))
		before = s
	}
	has, _ := all(t, m.agent.Client, &observerpb.GetFlowsRequest{
		Whitelist: beats(), Since: timestamppb.New(list[0].at), Until: timestamppb.New(until),
	})
	for _, r := range has {
		if !seen[r.GetFlow().GetUuid()] {
			f.lost++
		}
	}
	return f
}

// lagOf is the longest that a flow of a node was under way of those that came since a time.
func (v *view) lagOf(node string, since time.Time) (lag time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, s := range v.flows[node] {
		if s.came.After(since) {
			lag = max(lag, s.came.Sub(s.at))
		}
	}
	return lag
}
