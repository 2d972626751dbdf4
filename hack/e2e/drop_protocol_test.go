package e2e

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/fovea-obs/fovea/hack/lab"
	"github.com/fovea-obs/fovea/hack/lab/capture"
)

// TestDropsOfProtocols has packets of each protocol and both IP versions dropped for
// the causes that they share.
func TestDropsOfProtocols(t *testing.T) {
	s := newShopWithoutServices(t)
	a := startAgent(t, s.agentConfig(t, s.near))
	f := follow(t, a, time.Now(), nil)
	s.route("192.0.2.0/24", unix.RTN_THROW)(t)
	s.route("2001:db8:9::/64", unix.RTN_THROW)(t)
	for _, p := range []struct {
		name         string
		proto4       uint8
		proto6       uint8
		port         uint16 // what it is told with: of ICMP the type
		flags        string
		none4, none6 why // no listener; ICMP needs none
	}{
		{"UDP", capture.UDP, capture.UDP, 811, "", noSocket("__udp4_lib_rcv"), noSocket("__udp6_lib_rcv")},
		{"TCP", capture.TCP, capture.TCP, 812, "SYN", noSocket("tcp_v4_rcv"), noSocket("tcp_v6_rcv")},
		{"SCTP", capture.SCTP, capture.SCTP, 813, "",
			why{"IP_NOPROTO", "ip_local_deliver_finish", flowpb.DropReason_UNKNOWN_L4_PROTOCOL},
			why{"IP_NOPROTO", "ip6_input_finish or ip6_protocol_deliver_rcu", flowpb.DropReason_UNKNOWN_L4_PROTOCOL}},
		{"ICMP", capture.ICMP, capture.ICMPv6, 8, "", why{}, why{}},
	} {
		v4 := lost{proto: p.proto4, dst: s.web.IPv4, port: p.port, flags: p.flags, to: s.web}
		v6 := lost{proto: p.proto6, dst: s.web.IPv6, port: p.port, flags: p.flags, to: s.web}
		if p.proto6 == capture.ICMPv6 {
			v6.port = 128
		}
		t.Run(p.name, func(t *testing.T) { s.dropProtocol(t, f, v4, p.none4, 4) })
		t.Run(p.name+" over IPv6", func(t *testing.T) { s.dropProtocol(t, f, v6, p.none6, 6) })
	}
}

func noSocket(function string) why {
	return why{"NO_SOCKET", function, flowpb.DropReason_SOCKET_LOOKUP_FAILED}
}

// dropProtocol has packets of a protocol dropped for each cause.
func (s *shop) dropProtocol(t *testing.T, f *follower, p lost, none why, version int) {
	hops := why{"IP_INHDR", "ip_forward", flowpb.DropReason_TTL_EXCEEDED}
	noRoute := why{"IP_INNOROUTES", "ip_error", flowpb.DropReason_FIB_LOOKUP_FAILED}
	away := p
	away.dst, away.to = netip.MustParseAddr("192.0.2.9"), nil
	if version == 6 {
		hops.function, noRoute.function, away.dst = "ip6_forward", "ip6_pkt_discard or ip6_pkt_drop", netip.MustParseAddr("2001:db8:9::9")
	}
	causes := []cause{
		{"too many hops", nil, s.probe(p, 1), p, s.client, hops},
		{"no route", nil, s.probe(away, 64), away, s.client, noRoute},
		{"netfilter", s.nodeDrops(p), s.probe(p, 64), p, s.client, why{"NETFILTER_DROP", "nft_do_chain or nf_hook_slow", unknownDrop}},
	}
	if none.reason != "" {
		causes = append(causes, cause{"no listener", nil, s.probe(p, 64), p, s.web, none})
	}
	for _, c := range causes {
		t.Run(c.name, func(t *testing.T) { s.makeDrop(t, f, c) })
	}
}

// nodeDrops has the near node's packet filter drop what is for somebody.
func (s *shop) nodeDrops(p lost) func(*testing.T) {
	return func(t *testing.T) {
		r, err := s.near.AddDrop(lab.Drop{Destination: netip.PrefixFrom(p.dst, p.dst.BitLen()), Hook: lab.Forward})
		check(t, err)
		closeLater(t, r.Remove)
	}
}

// probe sends one packet from the client that may go so many hops, and does not wait
// for what comes of it.
func (s *shop) probe(p lost, hops int) func(context.Context) error {
	return func(context.Context) error {
		return s.client.NS.Do(func() error {
			socket, payload, err := p.open()
			if err != nil {
				return err
			}
			level, option := unix.IPPROTO_IP, unix.IP_TTL
			if p.dst.Is6() {
				level, option = unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS
			}
			err = unix.SetsockoptInt(socket, level, option, hops)
			if err == nil {
				err = p.send(socket, payload)
			}
			return errors.Join(err, unix.Close(socket))
		})
	}
}

// open makes a socket for such a packet, and what it carries.
func (d *lost) open() (socket int, payload []byte, err error) {
	family, kind, proto := unix.AF_INET, unix.SOCK_RAW, int(d.proto)
	if d.dst.Is6() {
		family = unix.AF_INET6
	}
	switch d.proto {
	case capture.UDP:
		kind = unix.SOCK_DGRAM
	case capture.TCP:
		kind = unix.SOCK_STREAM
	case capture.SCTP:
		// Ports, and the rest of a header.
		payload = binary.BigEndian.AppendUint16([]byte{0x30, 0x39}, d.port)
		payload = append(payload, make([]byte, 28)...)
	case capture.ICMP:
		payload, err = (&icmp.Message{Type: ipv4.ICMPType(d.port), Body: &icmp.Echo{ID: 77, Seq: 1}}).Marshal(nil)
	case capture.ICMPv6:
		// The kernel makes the checksum.
		payload, err = (&icmp.Message{Type: ipv6.ICMPType(d.port), Body: &icmp.Echo{ID: 77, Seq: 1}}).Marshal(nil)
	}
	if err != nil {
		return 0, nil, err
	}
	socket, err = unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, proto)
	return socket, payload, err
}

func (d *lost) send(socket int, payload []byte) error {
	port := d.port
	if payload != nil {
		port = 0 // of a raw socket
	}
	to := sockaddr(netip.AddrPortFrom(d.dst, port))
	if d.proto != capture.TCP {
		return unix.Sendto(socket, payload, 0, to)
	}
	if err := unix.Connect(socket, to); !errors.Is(err, unix.EINPROGRESS) {
		return err
	}
	return nil
}
