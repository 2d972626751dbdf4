package e2e

import (
	"net/netip"
	"testing"
	"time"

	"github.com/fovea-obs/fovea/hack/lab"
	"github.com/fovea-obs/fovea/hack/lab/capture"
)

// TestTruthMidway starts the agent in the middle of conversations.
func TestTruthMidway(t *testing.T) {
	// The ports tell the contrary, so that only the kernel's connection tracking
	// can have told.
	t.Run("tracked", func(t *testing.T) {
		s := newShop(t)
		var dials []dial
		for _, proto := range []uint8{capture.TCP, capture.UDP} {
			dials = append(dials, s.midwayDials(proto, 12345, 50000)...)
		}
		testMidway(t, s, append(dials, s.serviceDials()...), noGuesses)
	})
	t.Run("untracked", func(t *testing.T) {
		s := newShopWithoutServices(t)
		for _, p := range []*lab.Pod{s.client, s.web, s.db} {
			check(t, p.NS.Sysctl("net/ipv4/ip_local_port_range", "32768 60999"))
		}
		var dials []dial
		for _, port := range []uint16{80, 8080, 5432, 53} {
			dials = append(dials, s.midwayDials(capture.TCP, 0, port)...)
			dials = append(dials, s.midwayDials(capture.UDP, 0, port)...)
		}
		testMidway(t, s, dials, anyGuesses)
	})
}

// midwayDials are conversations between pods: of one node, out of it, into it.
func (s *shop) midwayDials(proto uint8, from, to uint16) (dials []dial) {
	for i := range addrs(s.client) {
		for _, d := range []struct{ client, server *lab.Pod }{{s.client, s.web}, {s.client, s.db}, {s.db, s.web}} {
			dials = append(dials, dial{
				proto: proto, from: d.client.NS, port: from, to: netip.AddrPortFrom(addrs(d.server)[i], to),
				pod: d.server, podPort: to,
			})
			if from != 0 {
				from++
			}
		}
	}
	return dials
}

// serviceDials are conversations with services.
func (s *shop) serviceDials() []dial {
	return []dial{
		{proto: capture.TCP, from: s.client.NS, to: s.web4, pod: s.web, podPort: 80},
		{proto: capture.TCP, from: s.client.NS, to: s.web6, pod: s.web, podPort: 80},
		{proto: capture.TCP, from: s.client.NS, to: s.db4, pod: s.db, podPort: 5432},
		{proto: capture.UDP, from: s.client.NS, to: s.dns4, pod: s.db, podPort: 53},
		{proto: capture.TCP, from: s.near.NS, to: s.web4, pod: s.web, podPort: 80},
	}
}

// testMidway has conversations begin before the agent starts, and go on and end
// after.
func testMidway(t *testing.T, s *shop, dials []dial, guesses guesses) {
	r := s.newRendezvous()
	var all []*conversation
	for _, d := range dials {
		c := r.begin(t, d)
		check(t, c.settle())
		all = append(all, c)
	}
	w := watchPods(t, s.near, false)
	since := time.Now()
	a := startAgent(t, s.agentConfig(t, s.near))
	j := s.newJudge(t, s.near)
	j.guesses = guesses
	f := follow(t, a, since, j.flow)
	w.begin(t)
	for i, c := range all {
		check(t, c.goOn(i))
	}
	got := w.compare(t, f)
	t.Logf("%d conversations, %d flows of %d keys", len(all), f.flows, len(got))
	for _, d := range f.dropped() {
		t.Errorf("told as dropped: %v", d)
	}
}

// goOn says more, each time in another way, and ends the conversation.
func (c *conversation) goOn(turn int) error {
	talk, end := c.exchange, c.close
	if turn%2 == 1 {
		talk = c.callBack
	}
	switch turn % 3 {
	case 1:
		end = c.closeByServer
	case 2:
		end = c.reset
	}
	for range 3 {
		if err := talk(1000 + turn); err != nil {
			return err
		}
	}
	return end()
}
