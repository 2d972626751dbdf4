package e2e

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	"github.com/google/go-cmp/cmp"

	"github.com/fovea-obs/fovea/hack/lab"
	"github.com/fovea-obs/fovea/hack/lab/capture"
)

// TestDropsOnce counts the packets that are told as dropped: each that was is told once,
// as often as a client tries again, and the answers that are made of drops never are.
func TestDropsOnce(t *testing.T) {
	s := newShopWithoutServices(t)
	a := startAgent(t, s.agentConfig(t, s.near))
	f := follow(t, a, time.Now(), nil)
	ctx := testContext(t)
	rules := map[string]*lab.Rule{}
	rule := func(name string, protocol lab.Protocol, port uint16, action lab.Action) {
		r, err := s.near.AddDrop(lab.Drop{Protocol: protocol, Port: port, Hook: lab.Forward, Action: action})
		check(t, err)
		rules[name] = r
	}
	rule("UDP 901", lab.UDP, 901, lab.Silent)
	rule("UDP 902", lab.UDP, 902, lab.Reject)
	rule("TCP 903", lab.TCP, 903, lab.Reset)
	rule("TCP 904", lab.TCP, 904, lab.Reject)
	rule("TCP 905", lab.TCP, 905, lab.Silent)
	for _, addr := range addrs(s.web) {
		check(t, s.datagrams(addr, 901, 30)(ctx))
		check(t, s.datagrams(addr, 902, 30)(ctx))
		for range 5 {
			// Nobody listens, and too many hops. Who has heard of that would not send again.
			check(t, s.probe(lost{proto: capture.UDP, dst: addr, port: 906}, 64)(ctx))
			check(t, s.probe(lost{proto: capture.UDP, dst: addr, port: 907}, 1)(ctx))
		}
		for _, port := range []uint16{903, 904} {
			if c, err := s.client.NS.Dial(ctx, "tcp", netip.AddrPortFrom(addr, port).String()); err == nil {
				t.Errorf("connected to port %d: %v", port, c.Close())
			}
		}
	}
	// In fragments, which are put together before nobody wants them.
	c, err := s.client.NS.Dial(ctx, "udp", netip.AddrPortFrom(s.web.IPv4, 908).String())
	check(t, err)
	closeLater(t, c.Close)
	_, err = c.Write(make([]byte, 4000))
	check(t, err)
	t.Run("tries again", func(t *testing.T) {
		s.dial(t, firstInBacklog, netip.AddrPortFrom(s.web.IPv4, 905))
		var tries uint64
		_, err := f.await(ctx, "a third SYN", func(f *flowpb.Flow) bool {
			if f.GetVerdict() == flowpb.Verdict_DROPPED && f.GetL4().GetTCP().GetDestinationPort() == 905 {
				tries += sumOf(f).packets
			}
			return tries >= 3
		})
		check(t, err)
	})
	want := map[string]uint64{"UDP 906": 10, "UDP 907": 10, "UDP 908": 1}
	for name, r := range rules {
		n, err := r.Packets()
		check(t, err)
		want[name] = n
	}
	if want["TCP 905"] < 3 || want["UDP 901"] != 60 || want["UDP 902"] == 0 || want["TCP 903"] != 2 {
		t.Errorf("the packet filter counted %v", want)
	}
	s.awaitDropped(ctx, t, f, want)
}

// awaitDropped waits until so many packets were told as dropped, by protocol and port,
// and checks that no more are, and of nothing else.
func (s *shop) awaitDropped(ctx context.Context, t *testing.T, f *follower, want map[string]uint64) {
	t.Helper()
	got, flows := map[string]uint64{}, 0
	_, err := f.await(ctx, "all drops", func(f *flowpb.Flow) bool {
		got, flows = s.countDrop(got, f), flows+1
		return cmp.Equal(got, want)
	})
	if err != nil {
		t.Errorf("packets told as dropped (-want +got):\n%s", cmp.Diff(want, got))
		return
	}
	// What comes after that would come within the next sweeps.
	late, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	before := maps.Clone(got)
	more, err := f.await(late, "a drop that was not", func(f *flowpb.Flow) bool {
		if flows > 0 {
			flows--
			return false
		}
		return !cmp.Equal(s.countDrop(maps.Clone(before), f), before)
	})
	if err == nil {
		t.Errorf("also told: %v", more)
	}
}

// countDrop adds a flow's packets to those of its protocol and port.
func (s *shop) countDrop(sums map[string]uint64, f *flowpb.Flow) map[string]uint64 {
	icmp := f.GetL4().GetICMPv6()
	if f.GetVerdict() != flowpb.Verdict_DROPPED || icmp != nil && housekeepingType(icmp.GetType()) {
		return sums
	}
	k := keyOf(f)
	name := fmt.Sprintf("protocol %d, %d", k.proto, k.b)
	switch k.proto {
	case capture.TCP:
		name = fmt.Sprintf("TCP %d", k.b)
	case capture.UDP:
		name = fmt.Sprintf("UDP %d", k.b)
	}
	sums[name] += sumOf(f).packets
	return sums
}
