package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	relaypb "github.com/cilium/cilium/api/v1/relay"

	"github.com/fovea-obs/fovea/hack/pki"
)

const (
	// isolation is how long a fault of a node may hold up what is told of the others.
	isolation = 2 * time.Second
	// scheduling is how late this process, a relay or an agent may be because others run:
	// all of a test, and another one, share what may be two cores.
	scheduling = 500 * time.Millisecond
	// unaryWithin is when calls of one answer have one at the latest.
	unaryWithin = 5 * time.Second
	// returnWithin is how long after its fault a node's flows are back at the latest, also
	// if its agent has to start and is asked anew a moment before that: faults here are so
	// short that a relay waits 8 s at most until it asks again.
	returnWithin = 15 * time.Second
)

// TestRelayFaults has one node of several fail in all ways, or a client, and holds what
// clients of the others see of it.
func TestRelayFaults(t *testing.T) {
	needRoot(t)
	for name, faults := range map[string][]struct {
		name string
		test func(*testing.T, *cluster)
	}{
		"agents": {
			{"killed", testKilled},
			{"frozen", testFrozen},
			{"expired", testExpired},
			{"gone", testGone},
		},
		"others": {
			{"parted", testParted},
			{"slow", testSlowReaders},
			{"clocks", testClocks},
			{"rubbish", testRubbish},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			for _, f := range faults {
				t.Run(f.name, func(t *testing.T) { f.test(t, c) })
			}
		})
	}
}

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
	if own.lost > 0 || own.doubled > 0 || (own.gaps == 1) != o.forgets {
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
		if f.gap > isolation+scheduling+f.pause || f.lag > isolation+scheduling {
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

func testKilled(t *testing.T, c *cluster) {
	c.suffer(t, ordeal{begin: c.bad().kill, end: c.bad().start, forgets: true})
}

func testFrozen(t *testing.T, c *cluster) {
	var thaw func(*testing.T)
	c.suffer(t, ordeal{
		begin:     func(t *testing.T) { thaw = c.bad().freeze(t) },
		meanwhile: func(_ *testing.T, _ *view, begun time.Time) { lasts(begun, 5*time.Second) },
		end:       func(t *testing.T) { thaw(t) },
	})
}

// lasts has a fault go on for as long as it is to.
func lasts(begun time.Time, length time.Duration) { <-time.After(length - time.Since(begun)) }

// testParted has a node out of reach for longer than its connection lives.
func testParted(t *testing.T, c *cluster) {
	var heal func(*testing.T)
	c.suffer(t, ordeal{
		begin: func(t *testing.T) { heal = c.part(t, c.bad()) },
		meanwhile: func(t *testing.T, _ *view, begun time.Time) {
			c.answers(t, c.bad().Name)
			lasts(begun, 11*time.Second)
		},
		end: func(t *testing.T) { heal(t) },
	})
}

// testExpired has a node's certificate expire, which nobody minds until the connection
// is made anew.
func testExpired(t *testing.T, c *cluster) {
	bad := c.bad()
	names := []string{bad.serverName()}
	expires := time.Now().Add(2 * time.Second)
	bad.files.replace(t, c.authority, pki.Request{Names: names, Until: expires})
	check(t, bad.config.Log.(*log).await(testContext(t), "Certificate", 2))
	lasts(expires, 100*time.Millisecond)
	c.suffer(t, ordeal{
		begin: func(t *testing.T) { c.cut(t, bad) },
		meanwhile: func(t *testing.T, v *view, begun time.Time) {
			var why string
			v.await(t, "a word of the certificate", func() bool {
				for _, s := range v.told {
					if s.came.After(begun) && strings.Contains(s.why, "certificate has expired") {
						why = s.why
						return true
					}
				}
				return false
			})
			t.Logf("refused: %q", why)
			c.answers(t, bad.Name)
		},
		end: func(t *testing.T) { bad.files.replace(t, c.authority, pki.Request{Names: names}) },
	})
}

// testGone has a node leave for good.
func testGone(t *testing.T, c *cluster) {
	bad := c.bad()
	v := c.follow(t)
	begun := time.Now()
	c.roster.leave(bad.Name)
	told := v.awaitTold(t, bad.Name, begun, relaypb.NodeState_NODE_GONE)
	t.Logf("told as gone after %v", told.came.Sub(begun).Round(time.Millisecond))
	check(t, bad.stop())
	// Whoever connected to its address now would be let in.
	attempts := connections(t, bad.NS, bad.address())
	lasts(begun, 4*time.Second)
	if n := attempts(); n > 0 {
		t.Errorf("the relay connected %d times to a node that is gone", n)
	}
	v.holds(t, begun, bad.Name, c.others())
	if n := len(v.tellings(begun)); n != 1 {
		t.Errorf("told %v", v.tellings(begun))
	}
	status, err := c.relay.Client.ServerStatus(testContext(t), &observerpb.ServerStatusRequest{})
	check(t, err)
	if status.GetNumConnectedNodes().GetValue() != uint32(len(c.others())) || status.GetNumUnavailableNodes().GetValue() != 0 {
		t.Errorf("status %v", status)
	}
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
