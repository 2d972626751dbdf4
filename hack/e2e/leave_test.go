package e2e

import (
	"context"
	"os"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	"github.com/google/go-cmp/cmp"

	"github.com/fovea-obs/fovea/hack/lab"
	"github.com/fovea-obs/fovea/hack/process"
)

// TestLeavesNothing starts, stops and kills agents while streams run between
// pods: nothing of theirs is left in the kernel, all that others put there
// is, and no packet is lost.
func TestLeavesNothing(t *testing.T) {
	t.Run("tcx", func(t *testing.T) {
		l := newLeaver(t, newShopWithoutServices(t))
		l.stop(t, l.start(t, "tcx"))
		l.kill(t, l.start(t, "tcx"))
		// The socket of the killed one is in its way.
		l.stop(t, l.start(t, "tcx"))
	})
	t.Run("clsact", func(t *testing.T) {
		s := newShopWithoutServices(t)
		others := addForeign(t, s.client, 5, 1)
		addU32(t, s.client, 7)
		want := filters(t, s.client)
		l := newLeaver(t, s)
		l.stop(t, l.start(t, "clsact"))
		l.wantFilters(t, want)
		// What a killed one leaves, the next one removes, in either way.
		for _, next := range []string{"clsact", "tcx"} {
			a := l.start(t, "clsact")
			held, err := process.Held(a.PID())
			check(t, err)
			check(t, a.Kill())
			if left := ours(filters(t, l.client)); len(left) != 2 {
				t.Errorf("left by a killed agent: %q, want two filters", left)
			}
			l.stop(t, l.start(t, next))
			l.awaitNothing(t, held)
			l.wantFilters(t, want)
		}
		l.wantCounting(t, others)
	})
	t.Run("clsact in another's place", func(t *testing.T) {
		s := newShopWithoutServices(t)
		others := addForeign(t, s.client, 1, 1)
		addU32(t, s.client, 1)
		want := filters(t, s.client)
		l := newLeaver(t, s)
		a := l.start(t, "clsact")
		l.wantCounting(t, others)
		l.stop(t, a)
		l.wantFilters(t, want)
		l.wantCounting(t, others)
	})
}

// leaver is a shop with streams, in which agents come and go.
type leaver struct {
	*shop
	config  process.Config
	streams *streams
}

func newLeaver(t *testing.T, s *shop) *leaver {
	t.Helper()
	l := &leaver{s, s.agentConfig(t, s.near), s.newRendezvous().startStreams(t, s.client, s.db)}
	t.Cleanup(func() {
		if err := l.streams.stop(); err != nil {
			t.Errorf("streams: %v", err)
		}
		t.Logf("%d datagrams of the streams arrived, %d of them early", l.streams.received.Load(), l.streams.overtaking.Load())
	})
	return l
}

// start starts an agent and waits until it sees the streams.
func (l *leaver) start(t *testing.T, attach string) *process.Agent {
	t.Helper()
	ctx := testContext(t)
	since := time.Now()
	c := l.config
	c.Args = []string{"--attach", attach}
	a, err := process.Start(ctx, c)
	check(t, err)
	f := follow(t, a, since, nil)
	for _, point := range []flowpb.TraceObservationPoint{
		flowpb.TraceObservationPoint_FROM_ENDPOINT, flowpb.TraceObservationPoint_TO_ENDPOINT,
	} {
		_, err = f.await(ctx, "the stream", func(f *flowpb.Flow) bool {
			return f.GetTraceObservationPoint() == point && f.GetL4().GetUDP() != nil
		})
		check(t, err)
	}
	return a
}

// stop ends an agent in good order, and checks that nothing of it is left.
func (l *leaver) stop(t *testing.T, a *process.Agent) {
	t.Helper()
	held, err := process.Held(a.PID())
	check(t, err)
	check(t, a.Stop())
	if _, err := os.Lstat(a.Socket); !os.IsNotExist(err) {
		t.Errorf("its socket: %v", err)
	}
	l.awaitNothing(t, held)
}

// kill ends an agent at once, and checks that nothing of it is left.
func (l *leaver) kill(t *testing.T, a *process.Agent) {
	t.Helper()
	held, err := process.Held(a.PID())
	check(t, err)
	check(t, a.Kill())
	l.awaitNothing(t, held)
}

// awaitNothing waits until nothing of an ended agent is left.
func (l *leaver) awaitNothing(t *testing.T, held process.Objects) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	start := time.Now()
	if err := held.AwaitGone(ctx); err != nil {
		t.Error(err)
	} else {
		t.Logf("%v gone after %v", held, time.Since(start).Round(time.Millisecond))
	}
	for _, p := range []*lab.Pod{l.client, l.web} {
		if n := tcxPrograms(t, p); n != 0 {
			t.Errorf("%d TCX programs at %s", n, p.Interface)
		}
		if left := ours(filters(t, p)); len(left) != 0 {
			t.Errorf("filters at %s: %q", p.Interface, left)
		}
	}
}

// wantFilters checks which filters the client's interface has.
func (l *leaver) wantFilters(t *testing.T, want []string) {
	t.Helper()
	got := filters(t, l.client)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("filters (-want +got):\n%s", diff)
	}
}

// wantCounting checks that somebody else's filter gets to see the streams.
func (l *leaver) wantCounting(t *testing.T, f *foreign) {
	t.Helper()
	before, at := f.packets(t), l.streams.received.Load()
	for deadline := time.Now().Add(5 * time.Second); l.streams.received.Load() < at+100; {
		if time.Now().After(deadline) {
			t.Fatal("the streams stand still")
		}
		time.Sleep(streamEvery)
	}
	// Half of the datagrams come from the pod.
	if n := f.packets(t) - before; n < 30 {
		t.Errorf("another's filter saw %d packets of the streams", n)
	}
}
