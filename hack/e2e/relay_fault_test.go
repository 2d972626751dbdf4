package e2e

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	relaypb "github.com/cilium/cilium/api/v1/relay"

	"github.com/fovea-obs/fovea/hack/lab"
	"github.com/fovea-obs/fovea/hack/pki"
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
				// What one has left as it is would be taken for a fault of the next.
				if !t.Run(f.name, func(t *testing.T) { f.test(t, c) }) {
					return
				}
			}
		})
	}
}

func testKilled(t *testing.T, c *cluster) {
	c.suffer(t, ordeal{begin: c.bad().kill, end: c.bad().start, forgets: true})
}

func testFrozen(t *testing.T, c *cluster) {
	var thaw func(*testing.T)
	c.suffer(t, ordeal{
		begin: func(t *testing.T) { thaw = c.bad().freeze(t) },
		meanwhile: func(t *testing.T, _ *view, begun time.Time) {
			c.answers(t, c.bad().Name)
			lasts(begun, 5*time.Second)
		},
		end: func(t *testing.T) { thaw(t) },
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

// certificatesRead is what an agent logs each time it has.
const certificatesRead = "Certificates read"

// testExpired has a node's certificate expire, which nobody minds until the connection
// is made anew.
func testExpired(t *testing.T, c *cluster) {
	bad := c.bad()
	names := []string{bad.serverName()}
	expires := time.Now().Add(2 * time.Second)
	l := bad.config.Log.(*log)
	read := l.count(certificatesRead)
	bad.files.replace(t, c.authority, pki.Request{Names: names, Until: expires})
	check(t, l.await(testContext(t), certificatesRead, read+1))
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
	lasts(time.Now(), 4*time.Second)
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

// part has all packets between a member and the relay lost on their way, in both
// directions and with no word to either, until what is returned is called.
func (c *cluster) part(t *testing.T, m *member) (heal func(*testing.T)) {
	t.Helper()
	here, err := c.at.AddDrop(lab.Drop{Source: netip.PrefixFrom(m.IPv4, 32), Hook: lab.Input})
	check(t, err)
	there, err := m.AddDrop(lab.Drop{Source: netip.PrefixFrom(c.at.IPv4, 32), Hook: lab.Input})
	check(t, err)
	return func(t *testing.T) {
		check(t, errors.Join(here.Remove(), there.Remove()))
	}
}

// cut has the connections between a member and the relay reset.
func (c *cluster) cut(t *testing.T, m *member) {
	t.Helper()
	r, err := m.AddDrop(lab.Drop{
		Source: netip.PrefixFrom(c.at.IPv4, 32), Protocol: lab.TCP, Port: agentPort, Hook: lab.Input, Action: lab.Reset,
	})
	check(t, err)
	// The relay has something to say all the time.
	for ctx, n := testContext(t), uint64(0); n == 0; {
		check(t, ctx.Err())
		n, err = r.Packets()
		check(t, err)
	}
	check(t, r.Remove())
}
