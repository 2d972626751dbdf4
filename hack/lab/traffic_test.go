package lab

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/fovea-obs/fovea/hack/lab/capture"
)

// observe returns what passes the client's host end while traffic runs.
func (v *testLab) observe(t *testing.T, traffic func(ctx context.Context)) capture.Result {
	t.Helper()
	c := startCapture(t, v.near.NS, v.client.Interface)
	traffic(testContext(t))
	return stopCapture(t, c)
}

// sums returns what was sent and received by the client with that protocol.
func sums(r capture.Result, proto uint8, match func(capture.Key) bool) (sent, received capture.Count) {
	pick := func(d capture.Direction) capture.Count {
		return r.Sum(func(k capture.Key) bool {
			return k.Direction == d && k.Proto == proto && (match == nil || match(k))
		})
	}
	return pick(capture.In), pick(capture.Out)
}

// equal checks a number that must be exact.
func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestTCPLoad(t *testing.T) {
	v := newTestLab(t)
	s := serveEcho(t, v.servers[0].NS, ":0")
	forFamilies(t, func(t *testing.T, ipv6 bool) {
		const n, size = 200, 40_000
		before, beforeBytes := s.Connections(), s.Bytes()
		target := netip.AddrPortFrom(v.servers[0].Addr(ipv6), s.Port())
		r := v.observe(t, func(ctx context.Context) {
			done, err := TCPLoad{Target: target, Connections: n, Bytes: size, Concurrency: 8}.Run(ctx, v.client.NS)
			check(t, err)
			equal(t, "connections", done, n)
		})
		equal(t, "accepted", s.Connections()-before, n)
		equal(t, "received", s.Bytes()-beforeBytes, int64(n*size))
		sent, received := sums(r, capture.TCP, nil)
		equal(t, "SYNs", sent.SYNs, n)
		equal(t, "SYN ACKs", received.SYNACKs, n)
		equal(t, "FINs sent", sent.FINs, n)
		equal(t, "FINs received", received.FINs, n)
		equal(t, "RSTs", sent.RSTs+received.RSTs, 0)
		equal(t, "malformed", sent.Malformed+received.Malformed, 0)
	})
}

func TestTCPLoadRate(t *testing.T) {
	v := newTestLab(t)
	s := serveEcho(t, v.servers[0].NS, ":0")
	target := netip.AddrPortFrom(v.servers[0].IPv4, s.Port())
	start := time.Now()
	_, err := TCPLoad{Target: target, Connections: 21, Rate: 100}.Run(testContext(t), v.client.NS)
	check(t, err)
	if took := time.Since(start); took < 200*time.Millisecond {
		t.Errorf("21 connections at 100 a second took %s", took)
	}
}

func TestTCPLoadStopsAtError(t *testing.T) {
	v := newTestLab(t)
	target := netip.AddrPortFrom(v.servers[0].IPv4, 9)
	n, err := TCPLoad{Target: target, Connections: 1000, Concurrency: 4}.Run(testContext(t), v.client.NS)
	if n != 0 || !isRefused(err) {
		t.Errorf("load to closed port: %d, %v", n, err)
	}
}

func TestTCPBulk(t *testing.T) {
	v := newTestLab(t)
	s, err := ServeSink(v.servers[0].NS, ":0")
	check(t, err)
	closeLater(t, s.Close)
	forFamilies(t, func(t *testing.T, ipv6 bool) {
		const streams, size = 2, 20 << 20
		before := s.Bytes()
		target := netip.AddrPortFrom(v.servers[0].Addr(ipv6), s.Port())
		r := v.observe(t, func(ctx context.Context) {
			got, err := TCPBulk{Target: target, Bytes: size, Streams: streams}.Run(ctx, v.client.NS)
			check(t, err)
			equal(t, "sent", got.Bytes, streams*size)
		})
		equal(t, "received", s.Bytes()-before, streams*size)
		sent, _ := sums(r, capture.TCP, nil)
		if sent.Bytes <= streams*size || sent.Malformed != 0 {
			t.Errorf("captured %d bytes, %d malformed packets", sent.Bytes, sent.Malformed)
		}
	})
	got, err := TCPBulk{
		Target: netip.AddrPortFrom(v.servers[0].IPv4, s.Port()), Duration: 50 * time.Millisecond,
	}.Run(testContext(t), v.client.NS)
	check(t, err)
	if got.Bytes == 0 || got.Elapsed < 50*time.Millisecond {
		t.Errorf("bulk for 50 ms: %+v", got)
	}
}

func TestUDPLoad(t *testing.T) {
	v := newTestLab(t)
	s, err := ServeUDPEcho(v.servers[0].NS, ":0")
	check(t, err)
	closeLater(t, s.Close)
	forFamilies(t, func(t *testing.T, ipv6 bool) {
		target := netip.AddrPortFrom(v.servers[0].Addr(ipv6), s.Port())
		r := v.observe(t, func(ctx context.Context) {
			n, err := UDPLoad{Target: target, Count: 20, Bytes: 100}.Run(ctx, v.client.NS)
			check(t, err)
			equal(t, "answers", n, 20)
		})
		header := uint64(14 + 20 + 8)
		if ipv6 {
			header += 20
		}
		sent, received := sums(r, capture.UDP, nil)
		equal(t, "packets sent", sent.Packets, 20)
		equal(t, "packets received", received.Packets, 20)
		equal(t, "bytes sent", sent.Bytes, 20*(header+100))
	})
}

func TestUDPFragments(t *testing.T) {
	v := newTestLab(t)
	s, err := ServeUDPEcho(v.servers[0].NS, ":0")
	check(t, err)
	closeLater(t, s.Close)
	forFamilies(t, func(t *testing.T, ipv6 bool) {
		target := netip.AddrPortFrom(v.servers[0].Addr(ipv6), s.Port())
		r := v.observe(t, func(ctx context.Context) {
			_, err := UDPLoad{Target: target, Count: 10, Bytes: 4000}.Run(ctx, v.client.NS)
			check(t, err)
		})
		first, _ := sums(r, capture.UDP, func(k capture.Key) bool { return !k.Later && k.DstPort == target.Port() })
		later, _ := sums(r, capture.UDP, func(k capture.Key) bool { return k.Later && k.DstPort == 0 })
		equal(t, "first fragments", first.Fragments, 10)
		equal(t, "later fragments", later.Fragments, 20)
		equal(t, "packets", first.Packets+later.Packets, 30)
	})
}

func TestUDPFlood(t *testing.T) {
	v := newTestLab(t)
	s, err := ServeUDPSink(v.servers[0].NS, ":0")
	check(t, err)
	closeLater(t, s.Close)
	var total int64
	forFamilies(t, func(t *testing.T, ipv6 bool) {
		target := netip.AddrPortFrom(v.servers[0].Addr(ipv6), s.Port())
		_, err := Ping{Target: target.Addr()}.Run(testContext(t), v.client.NS) // finds the neighbours
		check(t, err)
		r := v.observe(t, func(ctx context.Context) {
			got, err := UDPFlood{Target: target, Bytes: 18, Packets: 5000, Flows: 3}.Run(ctx, v.client.NS)
			check(t, err)
			equal(t, "sent", got.Packets, 5000)
			total += got.Packets
			check(t, s.Await(ctx, total))
		})
		packets, bytes := s.Received()
		equal(t, "received", packets, total)
		equal(t, "bytes", bytes, 18*total)
		sent, _ := sums(r, capture.UDP, nil)
		equal(t, "captured", sent.Packets, 5000)
	})
}

func TestPing(t *testing.T) {
	v := newTestLab(t)
	forFamilies(t, func(t *testing.T, ipv6 bool) {
		r := v.observe(t, func(ctx context.Context) {
			n, err := Ping{Target: v.servers[0].Addr(ipv6), Count: 5, ID: 77, Bytes: 32}.Run(ctx, v.client.NS)
			check(t, err)
			equal(t, "answers", n, 5)
		})
		proto, request, reply := uint8(capture.ICMP), uint16(8), uint16(0)
		if ipv6 {
			proto, request, reply = capture.ICMPv6, 128, 129
		}
		sent, received := sums(r, proto, func(k capture.Key) bool { return k.EchoID == 77 })
		equal(t, "sent", sent.Packets, 5)
		equal(t, "received", received.Packets, 5)
		sent, _ = sums(r, proto, func(k capture.Key) bool { return k.SrcPort == request && k.DstPort == 0 })
		_, received = sums(r, proto, func(k capture.Key) bool { return k.SrcPort == reply })
		equal(t, "requests", sent.Packets, 5)
		equal(t, "replies", received.Packets, 5)
	})
}

func TestPingWithoutAnswer(t *testing.T) {
	v := newTestLab(t)
	_, err := v.far.AddDrop(Drop{Destination: host(v.servers[0].IPv4)})
	check(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	n, err := Ping{Target: v.servers[0].IPv4}.Run(ctx, v.client.NS)
	if n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("ping through drop: %d, %v", n, err)
	}
}

func TestSCTP(t *testing.T) {
	v := newTestLab(t)
	forFamilies(t, func(t *testing.T, ipv6 bool) {
		target := netip.AddrPortFrom(v.servers[0].Addr(ipv6), 3868)
		s, err := ServeSCTP(v.servers[0].NS, target)
		check(t, err)
		closeLater(t, s.Close)
		r := v.observe(t, func(ctx context.Context) {
			n, err := SCTPLoad{Target: target, SourcePort: 5000, Count: 3}.Run(ctx, v.client.NS)
			check(t, err)
			equal(t, "answers", n, 3)
		})
		sent, received := sums(r, capture.SCTP, func(k capture.Key) bool {
			return k.DstPort == 3868 && k.SrcPort >= 5000 || k.SrcPort == 3868 && k.DstPort >= 5000
		})
		equal(t, "INITs", sent.Packets, 3)
		equal(t, "INIT ACKs", received.Packets, 3)
	})
}

func TestMulticast(t *testing.T) {
	v := newTestLab(t)
	r := v.observe(t, func(ctx context.Context) {
		check(t, IGMPReport{Source: v.client.IPv4, Group: netip.MustParseAddr("239.1.2.3"), Count: 4}.Run(ctx, v.client.NS))
		check(t, VRRPAdvert{
			Source: v.client.IPv4, Router: 5, Priority: 100, Address: netip.MustParseAddr("10.9.9.9"), Count: 3,
		}.Run(ctx, v.client.NS))
	})
	igmp, _ := sums(r, capture.IGMP, func(k capture.Key) bool { return k.Dst == netip.MustParseAddr("239.1.2.3") })
	vrrp, _ := sums(r, capture.VRRP, func(k capture.Key) bool { return k.Dst == netip.MustParseAddr("224.0.0.18") })
	equal(t, "IGMP", igmp.Packets, 4)
	equal(t, "IGMP bytes", igmp.Bytes, 4*(14+24+8))
	equal(t, "VRRP", vrrp.Packets, 3)
	equal(t, "VRRP bytes", vrrp.Bytes, 3*(14+20+20))
}
