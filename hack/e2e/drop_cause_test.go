package e2e

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/fovea-obs/fovea/hack/lab"
)

// cause makes a packet be dropped that the client sends.
type cause struct {
	name string
	// prepare and send make it happen; prepare may be nil.
	prepare func(t *testing.T)
	send    func(ctx context.Context) error
	// port is the destination's of what is dropped.
	port uint32
	// reason and function are the kernel's, hubble what clients filter by.
	reason, function string
	hubble           flowpb.DropReason
	// to is who it was sent to, at the interface of whom it was dropped.
	to, at *lab.Pod
}

// TestDropCauses has packets dropped for many causes, and each told as what it is.
func TestDropCauses(t *testing.T) {
	s := newShopWithoutServices(t)
	s.serve(t)
	a := startAgent(t, s.agentConfig(t, s.near))
	f := follow(t, a, time.Now(), nil)
	for _, c := range s.dropCauses() {
		t.Run(c.name, func(t *testing.T) {
			if c.prepare != nil {
				c.prepare(t)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			check(t, c.send(ctx))
			d, err := f.awaitDrop(ctx, c.port)
			if err != nil {
				t.Fatal(err)
			}
			c.compare(t, d)
		})
	}
}

// awaitDrop waits until a drop of something that was sent to a port is told.
func (f *follower) awaitDrop(ctx context.Context, port uint32) (*flowpb.Flow, error) {
	return f.await(ctx, fmt.Sprintf("a drop at port %d", port), func(f *flowpb.Flow) bool {
		l4 := f.GetL4()
		return f.GetVerdict() == flowpb.Verdict_DROPPED && (l4.GetUDP().GetDestinationPort() == port || l4.GetTCP().GetDestinationPort() == port)
	})
}

func (c *cause) compare(t *testing.T, d *flowpb.Flow) {
	t.Helper()
	equal := func(what string, got, want any) {
		if got != want {
			t.Errorf("%s is %v, want %v", what, got, want)
		}
	}
	words := extensionsOf(d)["drop"].GetStructValue().GetFields()
	equal("reason", words["reason"].GetStringValue(), c.reason)
	equal("function", words["location"].GetStringValue(), c.function)
	equal("Hubble's reason", d.GetDropReasonDesc(), c.hubble)
	equal("source", who(d.GetSource()), "shop/client")
	if c.to == nil {
		equal("destination", who(d.GetDestination()), "reserved:world")
	} else {
		equal("destination", who(d.GetDestination()), podName(c.to))
	}
	equal("interface", d.GetInterface().GetName(), c.at.Interface)
	direction := flowpb.TrafficDirection_EGRESS
	if c.at == c.to {
		direction = flowpb.TrafficDirection_INGRESS
	}
	equal("direction", d.GetTrafficDirection(), direction)
	equal("reply", d.GetIsReply().GetValue(), false)
	if t.Failed() {
		t.Log(d)
	}
}

func (s *shop) dropCauses() []cause {
	const unknown = flowpb.DropReason_DROP_REASON_UNKNOWN
	return []cause{
		{"no listener", nil, s.datagrams(&s.web, 701, 1), 701, "NO_SOCKET", "__udp4_lib_rcv",
			flowpb.DropReason_SOCKET_LOOKUP_FAILED, s.web, s.web},
		{"a full socket buffer", s.listenAndNotRead(702), s.datagrams(&s.web, 702, 200), 702, "SOCKET_RCVBUFF",
			"udp_queue_rcv_one_skb", unknown, s.web, s.web},
		{"a bad checksum of TCP", nil, s.badSYN(704, false), 704, "TCP_CSUM", "tcp_v4_rcv",
			flowpb.DropReason_INVALID_PACKET_DROPPED, s.web, s.web},
		{"a bad checksum of IP", nil, s.badSYN(705, true), 705, "IP_CSUM", "ip_rcv_core",
			flowpb.DropReason_INVALID_PACKET_DROPPED, s.web, s.client},
		{"no route", s.noRoute, s.datagramTo(netip.MustParseAddrPort("192.0.2.9:706"), 64), 706, "IP_INNOROUTES", "ip_error",
			flowpb.DropReason_FIB_LOOKUP_FAILED, nil, s.client},
		{"a source that cannot be there", s.filterByPath, s.spoofed(707), 707, "IP_RPFILTER", "ip_rcv_finish_core",
			flowpb.DropReason_INVALID_SOURCE_IP, s.web, s.client},
		{"too many hops", nil, s.datagramTo(netip.AddrPortFrom(s.db.IPv4, 708), 1), 708, "IP_INHDR", "ip_forward",
			flowpb.DropReason_TTL_EXCEEDED, s.db, s.client},
		{"a program at the way out", s.dropByTC(709), s.datagrams(&s.web, 709, 1), 709, "TC_EGRESS", "__dev_queue_xmit",
			unknown, s.web, s.web},
		{"a full queue", s.slowQueue, s.datagrams(&s.web, 711, 200), 711, "QDISC_DROP", "__dev_queue_xmit", unknown, s.web, s.web},
	}
}

// datagrams sends so many from the client.
func (s *shop) datagrams(to **lab.Pod, port uint16, count int) func(context.Context) error {
	return func(ctx context.Context) error {
		c, err := s.client.NS.Dial(ctx, "udp", netip.AddrPortFrom((*to).IPv4, port).String())
		if err != nil {
			return err
		}
		for range count {
			if _, err := c.Write(make([]byte, 1000)); err != nil && !errors.Is(err, unix.ECONNREFUSED) && !errors.Is(err, unix.ENOBUFS) {
				return errors.Join(err, c.Close())
			}
		}
		return c.Close()
	}
}

// datagramTo sends one from the client that may go so many hops.
func (s *shop) datagramTo(to netip.AddrPort, hops int) func(context.Context) error {
	return func(ctx context.Context) error {
		c, err := s.client.NS.Dial(ctx, "udp", to.String())
		if err != nil {
			return err
		}
		raw, err := c.(*net.UDPConn).SyscallConn()
		if err != nil {
			return err
		}
		var set error
		err = raw.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TTL, hops) })
		_, sent := c.Write([]byte("hello"))
		return errors.Join(err, set, sent, c.Close())
	}
}

// listenAndNotRead has the web server's pod receive into a buffer that is full soon.
func (s *shop) listenAndNotRead(port int) func(*testing.T) {
	return func(t *testing.T) {
		c, err := s.web.NS.ListenPacket(testContext(t), "udp4", fmt.Sprintf(":%d", port))
		check(t, err)
		closeLater(t, c.Close)
		check(t, c.(*net.UDPConn).SetReadBuffer(1))
	}
}

// frames sends frames from the client by its gateway.
func (s *shop) frames(change func(frame []byte), from netip.Addr, port uint16) error {
	gateway, err := s.hardwareAddress(s.client.HostLink)
	if err != nil {
		return err
	}
	frame, err := synFrame(from, s.web.IPv4, 4321)
	if err != nil {
		return err
	}
	copy(frame, gateway)
	binary.BigEndian.PutUint16(frame[14+20+2:], port)
	change(frame)
	return sendFrames(s.client, func(_ *net.Interface, socket int) error {
		_, err := unix.Write(socket, frame)
		return err
	})
}

// badSYN sends a SYN with a wrong checksum: that of IP, or else of TCP.
func (s *shop) badSYN(port uint16, ip bool) func(context.Context) error {
	return func(context.Context) error {
		return s.frames(func(frame []byte) {
			// The port was changed after the checksum of TCP was made.
			if ip {
				frame[14+10] ^= 0xff
			}
		}, s.client.IPv4, port)
	}
}

// spoofed sends a SYN from an address that lies elsewhere.
func (s *shop) spoofed(port uint16) func(context.Context) error {
	return func(context.Context) error {
		return s.frames(func([]byte) {}, netip.MustParseAddr("198.18.0.1"), port)
	}
}

func (s *shop) filterByPath(t *testing.T) {
	for _, name := range []string{"all", s.client.Interface} {
		check(t, s.near.NS.Sysctl("net/ipv4/conf/"+name+"/rp_filter", "1"))
	}
}

// noRoute has the node know that there is no way to some addresses.
func (s *shop) noRoute(t *testing.T) {
	h, err := s.near.NS.Netlink()
	check(t, err)
	defer h.Close()
	_, dst, err := net.ParseCIDR("192.0.2.0/24")
	check(t, err)
	check(t, h.RouteAdd(&netlink.Route{Dst: dst, Type: unix.RTN_THROW}))
}

// dropByTC drops datagrams to a port on their way to the web server's pod.
func (s *shop) dropByTC(port uint16) func(*testing.T) {
	return func(t *testing.T) {
		p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "GPL", Instructions: asm.Instructions{
			asm.Mov.Reg(asm.R6, asm.R1),
			asm.LoadAbs(14+20+2, asm.Half),
			asm.JNE.Imm(asm.R0, int32(port), "pass"),
			asm.Mov.Imm(asm.R0, int32(netlink.TC_ACT_SHOT)),
			asm.Return(),
			asm.Mov.Imm(asm.R0, int32(netlink.TC_ACT_UNSPEC)).WithSymbol("pass"),
			asm.Return(),
		}})
		check(t, err)
		closeLater(t, p.Close)
		h, err := s.near.NS.Netlink()
		check(t, err)
		defer h.Close()
		err = h.QdiscAdd(&netlink.GenericQdisc{
			QdiscAttrs: netlink.QdiscAttrs{
				LinkIndex: s.web.HostLink, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
			},
			QdiscType: "clsact",
		})
		if !errors.Is(err, unix.EEXIST) {
			check(t, err)
		}
		check(t, h.FilterAdd(&netlink.BpfFilter{
			FilterAttrs: netlink.FilterAttrs{
				LinkIndex: s.web.HostLink, Parent: netlink.HANDLE_MIN_EGRESS, Handle: 7, Protocol: unix.ETH_P_ALL, Priority: 7,
			},
			Fd: p.FD(), Name: "foreign", DirectAction: true,
		}))
	}
}

// slowQueue has packets wait on their way to the web server's pod, few at a time.
func (s *shop) slowQueue(t *testing.T) {
	h, err := s.near.NS.Netlink()
	check(t, err)
	defer h.Close()
	check(t, h.QdiscAdd(&netlink.Tbf{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: s.web.HostLink, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
		Rate:       131072, Limit: 3000, Buffer: 17930,
	}))
}
