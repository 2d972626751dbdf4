package e2e

import (
	"slices"
	"testing"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	relaypb "github.com/cilium/cilium/api/v1/relay"
)

const (
	// isolation is how long a fault of a node may hold up what is told of the others.
	isolation = 2 * time.Second
	// scheduling is how late this process, a relay or an agent may be because others run:
	// all of a test, and another one, share what may be two cores. The longest pause
	// of the traffic itself, which this process makes, comes on top of it.
	scheduling = 500 * time.Millisecond
	// unaryWithin is when calls of one answer have one at the latest.
	unaryWithin = 5 * time.Second
	// returnWithin is how long after its fault a node's flows are back at the latest, also
	// if its agent has to start and is asked anew a moment before that: faults here are so
	// short that a relay waits 8 s at most until it asks again.
	returnWithin = 15 * time.Second
)

// failed are the states of nodes that cannot be asked.
func failed() []relaypb.NodeState {
	return []relaypb.NodeState{relaypb.NodeState_NODE_UNAVAILABLE, relaypb.NodeState_NODE_ERROR}
}

// ordeal is a fault of a node that ends.
type ordeal struct {
	begin     func(*testing.T)
	meanwhile func(t *testing.T, v *view, begun time.Time)
	end       func(*testing.T)
	// forgets says that the agent has lost what it knew of the time before.
	forgets bool
}

// suffer has the last member suffer, and checks that the client is told, that the other
// members' flows went on, and that those of the last are back, with all that its agent
// has and nothing twice.
func (c *cluster) suffer(t *testing.T, o ordeal) {
	t.Helper()
	v := c.follow(t)
	bad, others := c.bad(), c.others()
	begun := time.Now()
	o.begin(t)
	told := v.awaitTold(t, bad.Name, begun, failed()...)
	t.Logf("told as unavailable after %v: %q", told.came.Sub(begun).Round(time.Millisecond), told.why)
	if told.why == "" || told.came.Sub(begun) > isolation+scheduling {
		t.Errorf("told %+v, %v after its fault began", told, told.came.Sub(begun))
	}
	if o.meanwhile != nil {
		o.meanwhile(t, v, begun)
	}
	ended := time.Now()
	o.end(t)
	back := v.awaitFlow(t, bad, ended).came.Sub(ended)
	v.awaitTold(t, bad.Name, ended, relaypb.NodeState_NODE_CONNECTED)
	t.Logf("its flows are back %v after its fault, of %v", back.Round(time.Millisecond), ended.Sub(begun).Round(time.Millisecond))
	if back > returnWithin {
		t.Errorf("its flows are back %v after its fault", back)
	}
	own := v.of(t, bad, ended)
	t.Logf("%s itself: %v", bad.Name, own)
	gaps := 0
	if o.forgets {
		gaps = 1
	}
	if own.lost > 0 || own.doubled > 0 || own.gaps != gaps {
		t.Errorf("of %s itself %d flows were lost, %d doubled, and %d gaps told", bad.Name, own.lost, own.doubled, own.gaps)
	}
	v.holds(t, begun, bad.Name, others)
}

// holds checks that a fault of one node had no consequence for others.
func (v *view) holds(t *testing.T, begun time.Time, bad string, others []*member) {
	t.Helper()
	for _, m := range others {
		f := v.of(t, m, begun)
		t.Logf("%s: %v", m.Name, f)
		if f.gap > isolation+scheduling+f.pause || f.lag > isolation+scheduling+f.pause {
			t.Errorf("flows of %s were held up for %v, and %v on their way", m.Name, f.gap, f.lag)
		}
		if f.lost > 0 || f.doubled > 0 || f.gaps > 0 {
			t.Errorf("of %s %d flows were lost, %d doubled, and %d gaps told", m.Name, f.lost, f.doubled, f.gaps)
		}
	}
	tellings := v.tellings(begun)
	for _, s := range tellings {
		if s.node != bad {
			t.Errorf("told %+v, though %s failed alone", s, bad)
		}
	}
	t.Logf("told %d times of %s", len(tellings), bad)
}

// answers checks that requests are answered in time, without a node.
func (c *cluster) answers(t *testing.T, without string) {
	t.Helper()
	begun := time.Now()
	flows, others := all(t, c.relay.Client, &observerpb.GetFlowsRequest{Number: 20, Whitelist: beats()})
	took := time.Since(begun)
	named := false
	for _, r := range others {
		s := r.GetNodeStatus()
		named = named || slices.Contains(failed(), s.GetStateChange()) && s.GetNodeNames()[0] == without && s.GetMessage() != ""
	}
	if took > unaryWithin || len(flows) != 20 || !named {
		t.Errorf("the last 20 flows: %d after %v, with %v", len(flows), took, others)
	}
	begun = time.Now()
	status, err := c.relay.Client.ServerStatus(testContext(t), &observerpb.ServerStatusRequest{})
	check(t, err)
	statusTook := time.Since(begun)
	if n := status.GetUnavailableNodes(); statusTook > unaryWithin || len(n) != 1 || n[0] != without {
		t.Errorf("status %v after %v", status, statusTook)
	}
	t.Logf("meanwhile: the last 20 flows after %v, the status after %v", took.Round(time.Millisecond), statusTook.Round(time.Millisecond))
}
