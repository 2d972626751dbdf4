package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"golang.org/x/sys/unix"

	"github.com/fovea-obs/fovea/hack/lab"
)

// traffic makes some of everything, and returns when all agents have told of
// it. The servers stay.
func (s *shop) traffic(t *testing.T, agents map[string]*agent) {
	t.Helper()
	ctx := testContext(t)
	s.serve(t)
	for _, step := range []struct {
		what string
		run  func(context.Context) error
	}{
		{"TCP", s.tcp}, {"ping", s.ping}, {"SCTP", s.sctp}, {"refused", s.refused},
		{"dropped", func(ctx context.Context) error { return s.dropped(ctx, agents[s.near.Name]) }},
		{"UDP", s.udp},
	} {
		if err := step.run(ctx); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
	}
	for _, a := range agents {
		check(t, a.await(ctx, s.isLast))
	}
}

// isLast tells whether the flow is one that each agent tells of the last packet.
// They tell of packets in order.
func (s *shop) isLast(f *flowpb.Flow) bool {
	return f.GetL4().GetUDP().GetSourcePort() == portDNS && f.GetIP().GetSource() == s.db.IPv4.String()
}

// await waits for a flow, or returns at once if there was one.
func (a *agent) await(ctx context.Context, match func(*flowpb.Flow) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := a.Client.GetFlows(ctx, &observerpb.GetFlowsRequest{Follow: true, Number: 1 << 20})
	if err != nil {
		return err
	}
	for {
		r, err := stream.Recv()
		if err != nil {
			return fmt.Errorf("wait for a flow: %w", errors.Join(err, context.Cause(ctx)))
		}
		if match(r.GetFlow()) {
			return nil
		}
	}
}

// serve starts the servers, until the test ends.
func (s *shop) serve(t *testing.T) {
	t.Helper()
	for ns, port := range map[*lab.Namespace]int{s.web.NS: portWeb, s.db.NS: portDB, s.lab.Fabric(): portWorld} {
		e, err := lab.ServeEcho(ns, fmt.Sprintf(":%d", port))
		check(t, err)
		closeLater(t, e.Close)
	}
	for _, p := range []*lab.Pod{s.web, s.db} {
		u, err := lab.ServeUDPEcho(p.NS, fmt.Sprintf(":%d", portDNS))
		check(t, err)
		closeLater(t, u.Close)
	}
	x, err := lab.ServeSCTP(s.db.NS, netip.AddrPortFrom(s.db.IPv4, portSCTP))
	check(t, err)
	closeLater(t, x.Close)
}

func (s *shop) tcp(ctx context.Context) error {
	var errs []error
	for _, c := range []struct {
		from *lab.Pod
		to   netip.AddrPort
	}{
		{s.client, s.service},
		{s.client, netip.AddrPortFrom(s.web.IPv6, portWeb)},
		{s.till, netip.AddrPortFrom(s.web.IPv4, portWeb)},
		{s.web, netip.AddrPortFrom(s.db.IPv4, portDB)},
		{s.web, netip.AddrPortFrom(s.db.IPv6, portDB)},
		{s.client, netip.AddrPortFrom(s.world, portWorld)},
	} {
		_, err := lab.TCPLoad{Target: c.to, Bytes: 100}.Run(ctx, c.from.NS)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (s *shop) ping(ctx context.Context) error {
	_, near := lab.Ping{Target: s.web.IPv4, Bytes: 56}.Run(ctx, s.client.NS)
	_, far := lab.Ping{Target: s.db.IPv6, Bytes: 56}.Run(ctx, s.client.NS)
	return errors.Join(near, far)
}

func (s *shop) sctp(ctx context.Context) error {
	_, err := lab.SCTPLoad{Target: netip.AddrPortFrom(s.db.IPv4, portSCTP), SourcePort: clientPorts}.Run(ctx, s.client.NS)
	return err
}

// refused asks a port that nobody listens on.
func (s *shop) refused(ctx context.Context) error {
	c, err := s.client.DialTCP(ctx, netip.AddrPortFrom(s.web.IPv4, portClosed))
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return errors.Join(fmt.Errorf("not refused: %w", err), closeConn(c))
	}
	return nil
}

func closeConn(c net.Conn) error {
	if c == nil {
		return nil
	}
	return c.Close()
}

// dropped sends what the rule drops, and waits for the agent to tell of it. It
// is one packet, as nobody is left to send it again.
func (s *shop) dropped(ctx context.Context, a *agent) error {
	err := s.client.NS.Do(func() error { return knock(netip.AddrPortFrom(s.db.IPv4, portDB)) })
	if err != nil {
		return err
	}
	return a.await(ctx, func(f *flowpb.Flow) bool { return f.GetVerdict() == flowpb.Verdict_DROPPED })
}

// knock begins a connection and forgets it.
func knock(to netip.AddrPort) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	err = unix.Connect(fd, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())})
	if errors.Is(err, unix.EINPROGRESS) {
		err = nil
	}
	return errors.Join(err, unix.Close(fd))
}

func (s *shop) udp(ctx context.Context) error {
	_, near := lab.UDPLoad{Target: netip.AddrPortFrom(s.web.IPv6, portDNS), Bytes: 30}.Run(ctx, s.client.NS)
	_, far := lab.UDPLoad{Target: netip.AddrPortFrom(s.db.IPv4, portDNS), Bytes: 30}.Run(ctx, s.web.NS)
	return errors.Join(near, far)
}
