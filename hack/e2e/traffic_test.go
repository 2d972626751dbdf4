package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/fovea-obs/fovea/hack/lab"
	"github.com/fovea-obs/fovea/hack/lab/capture"
)

// What the tests' VRRP advertisements say.
const (
	vrrpRouter   = 7
	vrrpPriority = 101
)

// closedPort is one that nobody listens on.
const closedPort = 4

// everything makes some of all kinds of traffic, and returns when all of it has
// arrived.
func (s *shop) everything(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	s.serve(t)
	for _, step := range []struct {
		what string
		run  func(context.Context) error
	}{
		{"TCP", s.tcp}, {"UDP", s.udp}, {"ICMP", s.icmp}, {"SCTP", s.sctp}, {"multicast", s.multicast},
		{"refused", s.refused}, {"aborted", s.aborted},
	} {
		if err := step.run(ctx); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
	}
}

// serve starts the servers, until the test ends.
func (s *shop) serve(t *testing.T) {
	t.Helper()
	for _, p := range []*lab.Pod{s.client, s.web, s.db} {
		for _, port := range []uint16{80, 5432} {
			e, err := lab.ServeEcho(p.NS, fmt.Sprintf(":%d", port))
			check(t, err)
			closeLater(t, e.Close)
			s.podServes(p, capture.TCP, port)
		}
		u, err := lab.ServeUDPEcho(p.NS, ":53")
		check(t, err)
		closeLater(t, u.Close)
		s.podServes(p, capture.UDP, 53)
		for _, a := range []netip.Addr{p.IPv4, p.IPv6} {
			x, err := lab.ServeSCTP(p.NS, netip.AddrPortFrom(a, 3868))
			check(t, err)
			closeLater(t, x.Close)
		}
		s.podServes(p, capture.SCTP, 3868)
		s.podServes(p, capture.TCP, closedPort)
		s.podServes(p, capture.UDP, closedPort)
	}
	e, err := lab.ServeEcho(s.lab.Fabric(), ":443")
	check(t, err)
	closeLater(t, e.Close)
	s.serves(capture.TCP, netip.AddrPortFrom(s.outside, 443))
}

// addrs are the pod's addresses.
func addrs(p *lab.Pod) []netip.Addr { return []netip.Addr{p.IPv4, p.IPv6} }

func (s *shop) tcp(ctx context.Context) error {
	load := func(from *lab.Namespace, to netip.AddrPort, connections, bytes int) error {
		_, err := lab.TCPLoad{Target: to, Connections: connections, Bytes: bytes, Concurrency: 4}.Run(ctx, from)
		return err
	}
	var errs []error
	for i := range addrs(s.client) {
		web, db := netip.AddrPortFrom(addrs(s.web)[i], 80), netip.AddrPortFrom(addrs(s.db)[i], 5432)
		client := netip.AddrPortFrom(addrs(s.client)[i], 80)
		errs = append(errs,
			load(s.client.NS, web, 10, 3000),
			load(s.client.NS, db, 10, 200_000),
			load(s.db.NS, web, 5, 100),       // from another node
			load(s.web.NS, client, 1, 5<<20), // bulk: packets larger than the MTU
			load(s.near.NS, web, 2, 100),     // from the node itself
			load(s.far.NS, web, 2, 100),      // from another node itself
			load(s.lab.Fabric(), client, 2, 100))
	}
	targets := []netip.AddrPort{netip.AddrPortFrom(s.outside, 443)}
	if len(s.services) > 0 {
		targets = append(targets, s.web4, s.web6, s.db4)
	}
	for _, to := range targets {
		errs = append(errs, load(s.client.NS, to, 5, 1000))
	}
	return errors.Join(errs...)
}

func (s *shop) udp(ctx context.Context) error {
	load := func(from *lab.Namespace, to netip.Addr, count, bytes int) error {
		_, err := lab.UDPLoad{Target: netip.AddrPortFrom(to, 53), Count: count, Bytes: bytes}.Run(ctx, from)
		return err
	}
	var errs []error
	if len(s.services) > 0 {
		errs = append(errs, load(s.client.NS, s.dns4.Addr(), 3, 40))
	}
	for i := range addrs(s.client) {
		errs = append(errs,
			load(s.client.NS, addrs(s.web)[i], 20, 30),
			load(s.client.NS, addrs(s.db)[i], 20, 1400),
			load(s.db.NS, addrs(s.client)[i], 20, 0),
			load(s.near.NS, addrs(s.client)[i], 1, 10),
			// In fragments.
			load(s.client.NS, addrs(s.web)[i], 3, 5000),
			load(s.db.NS, addrs(s.web)[i], 3, 9000))
	}
	return errors.Join(errs...)
}

func (s *shop) icmp(ctx context.Context) error {
	ping := func(from *lab.Namespace, to netip.Addr, id uint16, bytes int) error {
		_, err := lab.Ping{Target: to, Count: 5, ID: id, Bytes: bytes}.Run(ctx, from)
		return err
	}
	var errs []error
	for i := range addrs(s.client) {
		errs = append(errs,
			ping(s.client.NS, addrs(s.web)[i], 1, 0),
			ping(s.client.NS, addrs(s.web)[i], 2, 1000),
			ping(s.client.NS, addrs(s.db)[i], 3, 56),
			ping(s.db.NS, addrs(s.client)[i], 4, 56),
			ping(s.near.NS, addrs(s.client)[i], 5, 3000)) // in fragments
	}
	return errors.Join(errs...)
}

func (s *shop) sctp(ctx context.Context) error {
	var errs []error
	for i := range addrs(s.client) {
		for j, to := range []*lab.Pod{s.web, s.db} {
			_, err := lab.SCTPLoad{
				Target: netip.AddrPortFrom(addrs(to)[i], 3868), SourcePort: uint16(40000 + 100*j), Count: 3,
			}.Run(ctx, s.client.NS)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (s *shop) multicast(ctx context.Context) error {
	return errors.Join(
		lab.IGMPReport{Source: s.client.IPv4, Group: netip.MustParseAddr("239.1.2.3"), Count: 3}.Run(ctx, s.client.NS),
		lab.VRRPAdvert{
			Source: s.web.IPv4, Router: vrrpRouter, Priority: vrrpPriority, Address: s.web.IPv4, Count: 2,
		}.Run(ctx, s.web.NS))
}

// refused talks to ports that nobody listens on.
func (s *shop) refused(ctx context.Context) error {
	for _, to := range append(addrs(s.web), addrs(s.db)...) {
		target := netip.AddrPortFrom(to, closedPort)
		if c, err := s.client.DialTCP(ctx, target); !errors.Is(err, syscall.ECONNREFUSED) {
			return errors.Join(fmt.Errorf("dial %s: %w", target, err), closeConn(c))
		}
		_, err := lab.UDPLoad{Target: target, Bytes: 10}.Run(ctx, s.client.NS)
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return fmt.Errorf("send to %s: %w", target, err)
		}
	}
	return nil
}

func closeConn(c net.Conn) error {
	if c == nil {
		return nil
	}
	return c.Close()
}

// aborted breaks connections off.
func (s *shop) aborted(ctx context.Context) error {
	targets := []netip.AddrPort{netip.AddrPortFrom(s.web.IPv4, 80), netip.AddrPortFrom(s.db.IPv6, 80)}
	if len(s.services) > 0 {
		targets = append(targets, s.web4)
	}
	for _, to := range targets {
		c, err := s.client.DialTCP(ctx, to)
		if err != nil {
			return err
		}
		if err := abort(c.(*net.TCPConn)); err != nil {
			return err
		}
	}
	return nil
}

// abort has some bytes sent and answered, and resets the connection.
func abort(c *net.TCPConn) error {
	_, err := c.Write([]byte("hello"))
	if err == nil {
		_, err = c.Read(make([]byte, 16))
	}
	return errors.Join(err, c.SetLinger(0), c.Close())
}
