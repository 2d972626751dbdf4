package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"golang.org/x/sys/unix"

	"github.com/fovea-obs/fovea/hack/lab"
)

// Source ports of the client's connections that fill a backlog.
const (
	firstInBacklog = 41001 + iota
	secondInBacklog
	thirdInBacklog
)

// tcpSYN is the flag's bit.
const tcpSYN = 2

// listen has the web server's pod listen, with room for more connections that nobody has
// accepted than the backlog is, by one.
func (s *shop) listen(t *testing.T, at netip.AddrPort, backlog int) (socket int) {
	t.Helper()
	check(t, s.web.NS.Do(func() (err error) {
		socket, err = streamSocket(at.Addr())
		return err
	}))
	closeLater(t, func() error { return unix.Close(socket) })
	check(t, unix.Bind(socket, sockaddr(at)))
	check(t, unix.Listen(socket, backlog))
	return socket
}

// dial begins a connection from the client, and does not wait for it.
func (s *shop) dial(t *testing.T, from uint16, to netip.AddrPort) (socket int) {
	t.Helper()
	check(t, s.client.NS.Do(func() (err error) {
		socket, err = streamSocket(to.Addr())
		return err
	}))
	closeLater(t, func() error { return unix.Close(socket) })
	check(t, unix.Bind(socket, sockaddr(netip.AddrPortFrom((&lost{dst: to.Addr()}).source(s), from))))
	if err := unix.Connect(socket, sockaddr(to)); !errors.Is(err, unix.EINPROGRESS) {
		check(t, err)
	}
	return socket
}

func streamSocket(addr netip.Addr) (int, error) {
	family := unix.AF_INET
	if addr.Is6() {
		family = unix.AF_INET6
	}
	return unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
}

func sockaddr(at netip.AddrPort) unix.Sockaddr {
	if at.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()}
}

// awaitReady waits until something can be done with a socket.
func awaitReady(t *testing.T, socket int, events int16) {
	t.Helper()
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(socket), Events: events}}, 5000)
	check(t, err)
	if n == 0 {
		t.Fatal("a socket is not ready after 5 s")
	}
}

// fullBacklog has a connection wait for somebody to accept it.
func (s *shop) fullBacklog(addr netip.Addr, port uint16) func(*testing.T) {
	return func(t *testing.T) {
		at := netip.AddrPortFrom(addr, port)
		listener := s.listen(t, at, 0)
		s.dial(t, firstInBacklog, at)
		awaitReady(t, listener, unix.POLLIN)
	}
}

// connect begins a connection from the client, and gives it up.
func (s *shop) connect(addr netip.Addr, port uint16) func(context.Context) error {
	return func(context.Context) error {
		return s.client.NS.Do(func() error {
			socket, err := streamSocket(addr)
			if err != nil {
				return err
			}
			if err = unix.Connect(socket, sockaddr(netip.AddrPortFrom(addr, port))); errors.Is(err, unix.EINPROGRESS) {
				err = nil
			}
			return errors.Join(err, unix.Close(socket))
		})
	}
}

// overflow has two connections begin that a listener has room for, and finish when it
// has room for one. With less room, the second would begin by a cookie.
func (s *shop) overflow(f *follower, port uint16) func(*testing.T) {
	return func(t *testing.T) {
		at := netip.AddrPortFrom(s.web.IPv4, port)
		listener := s.listen(t, at, 1)
		s.dial(t, firstInBacklog, at)
		awaitReady(t, listener, unix.POLLIN)
		ctx := testContext(t)
		for _, from := range []uint16{secondInBacklog, thirdInBacklog} {
			// The client does not hear of it yet.
			deaf, err := s.client.AddDrop(lab.Drop{Protocol: lab.TCP, Port: from, Hook: lab.Input})
			check(t, err)
			defer func() { check(t, deaf.Remove()) }()
			s.dial(t, from, at)
			d, err := f.await(ctx, "a SYN ACK that is dropped", func(f *flowpb.Flow) bool {
				tcp := f.GetL4().GetTCP()
				return f.GetVerdict() == flowpb.Verdict_DROPPED && tcp.GetDestinationPort() == uint32(from) && tcp.GetSourcePort() == uint32(port)
			})
			check(t, err)
			if got := fmt.Sprint(who(d.GetSource()), who(d.GetDestination()), tcpFlags(d), d.GetIsReply().GetValue(), d.GetTrafficDirection()); got !=
				fmt.Sprint(podName(s.web), podName(s.client), "SYN, ACK", true, flowpb.TrafficDirection_EGRESS) {
				t.Errorf("the answer is told as %s", got)
			}
		}
	}
}

// connection connects the client to the web server's pod.
func (s *shop) connection(port uint16) func(*testing.T) {
	return func(t *testing.T) {
		at := netip.AddrPortFrom(s.web.IPv4, port)
		listener := s.listen(t, at, 0)
		awaitReady(t, s.dial(t, firstInBacklog, at), unix.POLLOUT)
		awaitReady(t, listener, unix.POLLIN)
	}
}

// stray sends a segment in that connection that nobody expects there.
func (s *shop) stray(port uint16, flags uint8) func(context.Context) error {
	return func(context.Context) error {
		ip := &layers.IPv4{
			Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: s.client.IPv4.AsSlice(), DstIP: s.web.IPv4.AsSlice(),
		}
		tcp := &layers.TCP{SrcPort: firstInBacklog, DstPort: layers.TCPPort(port), SYN: flags&tcpSYN != 0, Window: 1000}
		if err := tcp.SetNetworkLayerForChecksum(ip); err != nil {
			return err
		}
		b := gopacket.NewSerializeBuffer()
		if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, ip, tcp); err != nil {
			return err
		}
		return s.client.NS.Do(func() error {
			socket, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
			if err != nil {
				return err
			}
			err = unix.Sendto(socket, b.Bytes(), 0, sockaddr(netip.AddrPortFrom(s.web.IPv4, 0)))
			return errors.Join(err, unix.Close(socket))
		})
	}
}
