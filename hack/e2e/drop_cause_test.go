package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/fovea-obs/fovea/hack/lab"
	"github.com/fovea-obs/fovea/hack/lab/capture"
)

const unknownDrop = flowpb.DropReason_DROP_REASON_UNKNOWN

// cause makes a packet be dropped that the client sends.
type cause struct {
	name string
	// prepare and send make it happen; either may be nil.
	prepare func(t *testing.T)
	send    func(ctx context.Context) error
	lost
	// at is the pod at the interface of which it was dropped; nil for another
	// interface of the node, of which only the name is compared.
	at *lab.Pod
	why
}

// lost is a packet that was dropped.
type lost struct {
	proto uint8      // of package capture
	src   netip.Addr // the client's of dst's version if it is not set
	dst   netip.Addr
	port  uint16   // the destination's; of ICMP the type
	flags string   // of TCP
	to    *lab.Pod // who has dst; nil for the world
}

// why is what is told of the cause: the kernel's reason and function ("this or that",
// if kernels differ), and Hubble's reason, by which clients filter.
type why struct {
	reason, function string
	hubble           flowpb.DropReason
}

// TestDropCauses has packets dropped for many causes, and each told as what it is.
func TestDropCauses(t *testing.T) {
	s := newShopWithoutServices(t)
	s.serve(t)
	a := startAgent(t, s.agentConfig(t, s.near))
	f := follow(t, a, time.Now(), nil)
	causes := s.dropCauses(f)
	if len(untold(t)) == 0 {
		causes = append(causes, s.fullBacklogs()...)
	}
	for _, c := range causes {
		t.Run(c.name, func(t *testing.T) { s.makeDrop(t, f, c) })
	}
}

// makeDrop makes a packet be dropped, and compares what is told of it.
func (s *shop) makeDrop(t *testing.T, f *follower, c cause) {
	t.Helper()
	since := f.newest()
	if c.prepare != nil {
		c.prepare(t)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if c.send != nil {
		check(t, c.send(ctx))
	}
	d, err := f.await(ctx, fmt.Sprintf("a drop of protocol %d for %v, %d", c.proto, c.dst, c.port), func(f *flowpb.Flow) bool {
		return f.GetTime().AsTime().After(since) && c.is(f)
	})
	if err != nil {
		t.Fatal(err)
	}
	c.compare(t, s, d)
}

// is tells whether a flow is of such a packet.
func (d *lost) is(f *flowpb.Flow) bool {
	if f.GetVerdict() != flowpb.Verdict_DROPPED {
		return false
	}
	k := keyOf(f)
	port := k.b
	if k.proto == capture.ICMP || k.proto == capture.ICMPv6 {
		port = k.a
	}
	return k.proto == d.proto && k.dst == d.dst && port == d.port && tcpFlags(f) == d.flags
}

// tcpFlags are a flow's as its summary has them, without the drop's reason.
func tcpFlags(f *flowpb.Flow) string {
	var text string
	flags := f.GetL4().GetTCP().GetFlags()
	for _, v := range []struct {
		name string
		set  bool
	}{{"SYN", flags.GetSYN()}, {"ACK", flags.GetACK()}, {"PSH", flags.GetPSH()}, {"FIN", flags.GetFIN()}, {"RST", flags.GetRST()}} {
		if v.set && text != "" {
			text += ", "
		}
		if v.set {
			text += v.name
		}
	}
	return text
}

func (c *cause) compare(t *testing.T, s *shop, f *flowpb.Flow) {
	t.Helper()
	equal := func(what string, got, want any) {
		if got != want {
			t.Errorf("%s is %v, want %v", what, got, want)
		}
	}
	words := extensionsOf(f)["drop"].GetStructValue().GetFields()
	equal("reason", words["reason"].GetStringValue(), c.reason)
	if got := words["location"].GetStringValue(); !slices.Contains(strings.Split(c.function, " or "), got) {
		t.Errorf("function is %s, want %s", got, c.function)
	}
	equal("Hubble's reason", f.GetDropReasonDesc(), c.hubble)
	equal("source", who(f.GetSource()), "shop/client")
	equal("source's address", f.GetIP().GetSource(), c.source(s).String())
	if c.to == nil {
		equal("destination", who(f.GetDestination()), "reserved:world")
	} else {
		equal("destination", who(f.GetDestination()), podName(c.to))
	}
	equal("reply", f.GetIsReply().GetValue(), false)
	if c.at == nil {
		equal("interface", f.GetInterface().GetName(), unreadDevice)
	} else {
		equal("interface", f.GetInterface().GetName(), c.at.Interface)
		direction := flowpb.TrafficDirection_INGRESS
		if c.at == s.client {
			direction = flowpb.TrafficDirection_EGRESS
		}
		equal("direction", f.GetTrafficDirection(), direction)
	}
	if t.Failed() {
		t.Log(f)
	}
}

// source is the address that the packet has.
func (d *lost) source(s *shop) netip.Addr {
	switch {
	case d.src.IsValid():
		return d.src
	case d.dst.Is4():
		return s.client.IPv4
	}
	return s.client.IPv6
}

func (s *shop) dropCauses(f *follower) []cause {
	const invalid, noRoute = flowpb.DropReason_INVALID_PACKET_DROPPED, flowpb.DropReason_FIB_LOOKUP_FAILED
	datagram := func(dst netip.Addr, port uint16, to *lab.Pod) lost {
		return lost{proto: capture.UDP, dst: dst, port: port, to: to}
	}
	syn := func(dst netip.Addr, port uint16) lost {
		return lost{proto: capture.TCP, dst: dst, port: port, flags: "SYN", to: s.web}
	}
	segment := func(port uint16, flags string) lost {
		return lost{proto: capture.TCP, dst: s.web.IPv4, port: port, flags: flags, to: s.web}
	}
	spoofed := syn(s.web.IPv4, 707)
	spoofed.src = netip.MustParseAddr("198.18.0.1")
	away, closed, unread := netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("198.51.100.9"), netip.MustParseAddr("198.51.101.9")
	hole, silent := netip.MustParseAddr("2001:db8:1::9"), netip.MustParseAddr("2001:db8:2::9")
	w4 := s.web.IPv4
	return []cause{
		{"no listener", nil, s.datagrams(w4, 701, 1), datagram(w4, 701, s.web), s.web,
			why{"NO_SOCKET", "__udp4_lib_rcv", flowpb.DropReason_SOCKET_LOOKUP_FAILED}},
		{"a full socket buffer", s.listenAndNotRead(702), s.datagrams(w4, 702, 200), datagram(w4, 702, s.web), s.web,
			why{"SOCKET_RCVBUFF", "udp_queue_rcv_one_skb", unknownDrop}},
		{"a bad checksum of TCP", nil, s.badSYN(704, false), syn(w4, 704), s.web, why{"TCP_CSUM", "tcp_v4_rcv", invalid}},
		{"a bad checksum of IP", nil, s.badSYN(705, true), syn(w4, 705), s.client, why{"IP_CSUM", "ip_rcv_core", invalid}},
		{"a flag that cannot be there", s.connection(703), s.stray(703, 0), segment(703, ""), s.web,
			why{"TCP_FLAGS", "tcp_v4_do_rcv", unknownDrop}},
		{"a SYN in a connection", s.connection(708), s.stray(708, tcpSYN), segment(708, "SYN"), s.web,
			why{"TCP_INVALID_SYN", "tcp_validate_incoming", unknownDrop}},
		{"no route", s.route("192.0.2.0/24", unix.RTN_THROW), s.datagrams(away, 706, 1), datagram(away, 706, nil), s.client,
			why{"IP_INNOROUTES", "ip_error", noRoute}},
		{"an unreachable route", s.route("198.51.100.0/24", unix.RTN_UNREACHABLE), s.datagrams(closed, 710, 1),
			datagram(closed, 710, nil), s.client, why{"NOT_SPECIFIED", "ip_error", noRoute}},
		{"a black hole", s.route("2001:db8:1::/64", unix.RTN_BLACKHOLE), s.datagrams(hole, 712, 1), datagram(hole, 712, nil),
			s.client, why{"NOT_SPECIFIED", "dst_discard_out", unknownDrop}},
		{"a neighbour that does not answer", s.routeToWeb(silent), s.datagrams(silent, 713, 1), datagram(silent, 713, nil),
			s.web, why{"NOT_SPECIFIED", "neigh_invalidate", unknownDrop}},
		{"a source that cannot be there", s.filterByPath, s.spoofed(707), spoofed, s.client,
			why{"IP_RPFILTER", "ip_rcv_finish_core", flowpb.DropReason_INVALID_SOURCE_IP}},
		{"a program at the way out", s.tc(shot(709)), s.datagrams(w4, 709, 1), datagram(w4, 709, s.web), s.web,
			why{"TC_EGRESS", "__dev_queue_xmit", unknownDrop}},
		{"a program that sends it nowhere", s.tc(redirect(714)), s.datagrams(w4, 714, 1), datagram(w4, 714, s.web), s.web,
			why{"NOT_SPECIFIED", "skb_do_redirect", unknownDrop}},
		{"generic XDP", s.xdp(715, link.XDPGenericMode), s.datagrams(w4, 715, 1), datagram(w4, 715, s.web), s.client,
			why{"NOT_SPECIFIED", "do_xdp_generic", unknownDrop}},
		{"XDP of a veth", s.xdp(716, link.XDPDriverMode), s.datagrams(w4, 716, 1), datagram(w4, 716, s.web), s.client,
			why{"NOT_SPECIFIED", "veth_xdp_rcv_skb", unknownDrop}},
		{"frames that are too long for a pod", s.shortFrames, s.datagrams(w4, 717, 1), datagram(w4, 717, s.web), s.web,
			why{"NOT_SPECIFIED", "__dev_forward_skb2 or __dev_forward_skb", unknownDrop}},
		{"a full queue", s.slowQueue, s.datagrams(w4, 711, 200), datagram(w4, 711, s.web), s.web,
			why{"QDISC_DROP", "__dev_queue_xmit or kfree_skb_list_reason", unknownDrop}},
		{"a device that nobody reads", s.addUnreadDevice("198.51.101.0/24"), s.datagrams(unread, 718, 20), datagram(unread, 718, nil),
			nil, why{"FULL_RING", "tun_net_xmit", unknownDrop}},
		{"a backlog that is full in the end", s.overflow(f, 721), nil, segment(721, "ACK"), s.web,
			why{"TCP_LISTEN_OVERFLOW", "tcp_v4_rcv or tcp_check_req", unknownDrop}},
		{"a full table of connections", s.fillTable, s.datagrams(w4, 722, 1), datagram(w4, 722, s.web), s.client,
			why{"NETFILTER_DROP", "nf_hook_slow", flowpb.DropReason_CT_MAP_INSERTION_FAILED}},
	}
}

// fullBacklogs are told only if the kernel lets its functions be traced.
func (s *shop) fullBacklogs() []cause {
	w4, w6 := s.web.IPv4, s.web.IPv6
	syn := func(dst netip.Addr, port uint16) lost {
		return lost{proto: capture.TCP, dst: dst, port: port, flags: "SYN", to: s.web}
	}
	overflow := why{"TCP_LISTEN_OVERFLOW", "tcp_conn_request", unknownDrop}
	return []cause{
		{"a full backlog", s.fullBacklog(w4, 719), s.connect(w4, 719), syn(w4, 719), s.web, overflow},
		{"a full backlog of IPv6", s.fullBacklog(w6, 720), s.connect(w6, 720), syn(w6, 720), s.web, overflow},
	}
}
