package e2e

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// datagrams sends so many from the client, as long as an interface takes.
func (s *shop) datagrams(to netip.Addr, port uint16, count int) func(context.Context) error {
	return func(ctx context.Context) error {
		c, err := s.client.NS.Dial(ctx, "udp", netip.AddrPortFrom(to, port).String())
		if err != nil {
			return err
		}
		for range count {
			if _, err := c.Write(make([]byte, 1400)); err != nil && !errors.Is(err, unix.ECONNREFUSED) && !errors.Is(err, unix.ENOBUFS) {
				return errors.Join(err, c.Close())
			}
		}
		return c.Close()
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

// route gives the near node a route to a prefix that leads nowhere.
func (s *shop) route(prefix string, kind int) func(*testing.T) {
	return func(t *testing.T) {
		_, dst, err := net.ParseCIDR(prefix)
		check(t, err)
		s.addRoute(t, &netlink.Route{Dst: dst, Type: kind})
	}
}

// routeToWeb gives the near node a route to an address that leads to the web server's
// pod, which does not have it.
func (s *shop) routeToWeb(addr netip.Addr) func(*testing.T) {
	return func(t *testing.T) {
		s.addRoute(t, &netlink.Route{
			LinkIndex: s.web.HostLink, Dst: &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(addr.BitLen(), addr.BitLen())},
		})
	}
}

func (s *shop) addRoute(t *testing.T, r *netlink.Route) {
	t.Helper()
	h, err := s.near.NS.Netlink()
	check(t, err)
	defer h.Close()
	check(t, h.RouteAdd(r))
}

// atPort is a program that decides on datagrams to a port, over IPv4 with no options,
// and lets all else pass.
func atPort(port uint16, pass int32, decide ...asm.Instruction) asm.Instructions {
	return append(append(asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadAbs(14+20+2, asm.Half),
		asm.JNE.Imm(asm.R0, int32(port), "pass"),
	}, decide...),
		asm.Return(),
		asm.Mov.Imm(asm.R0, pass).WithSymbol("pass"),
		asm.Return(),
	)
}

// shot drops datagrams to a port.
func shot(port uint16) asm.Instructions {
	return atPort(port, int32(netlink.TC_ACT_UNSPEC), asm.Mov.Imm(asm.R0, int32(netlink.TC_ACT_SHOT)))
}

// redirect sends datagrams to a port to an interface that is not there.
func redirect(port uint16) asm.Instructions {
	return atPort(port, int32(netlink.TC_ACT_UNSPEC),
		asm.Mov.Imm(asm.R1, math.MaxInt32), asm.Mov.Imm(asm.R2, 0), asm.FnRedirect.Call())
}

// tc has a program decide on what is on its way to the web server's pod.
func (s *shop) tc(instructions asm.Instructions) func(*testing.T) {
	return func(t *testing.T) {
		p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "GPL", Instructions: instructions})
		check(t, err)
		closeLater(t, p.Close)
		h, err := s.near.NS.Netlink()
		check(t, err)
		closeLater(t, h.Close)
		err = h.QdiscAdd(&netlink.GenericQdisc{
			QdiscAttrs: netlink.QdiscAttrs{
				LinkIndex: s.web.HostLink, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
			},
			QdiscType: "clsact",
		})
		if !errors.Is(err, unix.EEXIST) {
			check(t, err)
		}
		filter := &netlink.BpfFilter{
			FilterAttrs: netlink.FilterAttrs{
				LinkIndex: s.web.HostLink, Parent: netlink.HANDLE_MIN_EGRESS, Handle: 7, Protocol: unix.ETH_P_ALL, Priority: 7,
			},
			Fd: p.FD(), Name: "foreign", DirectAction: true,
		}
		check(t, h.FilterAdd(filter))
		closeLater(t, func() error { return h.FilterDel(filter) })
	}
}

// xdp drops datagrams to a port that come from the client's pod, before they are the
// node's.
func (s *shop) xdp(port uint16, mode link.XDPAttachFlags) func(*testing.T) {
	const drop, pass = 1, 2
	const data, dataEnd = 0, 4 // in struct xdp_md
	const end = 14 + 20 + 4
	return func(t *testing.T) {
		p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "GPL", Instructions: asm.Instructions{
			asm.LoadMem(asm.R2, asm.R1, data, asm.Word),
			asm.LoadMem(asm.R3, asm.R1, dataEnd, asm.Word),
			asm.Mov.Reg(asm.R4, asm.R2),
			asm.Add.Imm(asm.R4, end),
			asm.JGT.Reg(asm.R4, asm.R3, "pass"),
			asm.LoadMem(asm.R5, asm.R2, end-2, asm.Half),
			asm.HostTo(asm.BE, asm.R5, asm.Half),
			asm.JNE.Imm(asm.R5, int32(port), "pass"),
			asm.Mov.Imm(asm.R0, drop),
			asm.Return(),
			asm.Mov.Imm(asm.R0, pass).WithSymbol("pass"),
			asm.Return(),
		}})
		check(t, err)
		closeLater(t, p.Close)
		check(t, s.near.NS.Do(func() error {
			l, err := link.AttachXDP(link.XDPOptions{Program: p, Interface: s.client.HostLink, Flags: mode})
			if err == nil {
				closeLater(t, l.Close)
			}
			return err
		}))
	}
}

// shortFrames has the web server's pod take no frames that are as long as the node
// thinks it does.
func (s *shop) shortFrames(t *testing.T) {
	h, err := s.web.NS.Netlink()
	check(t, err)
	closeLater(t, h.Close)
	l, err := h.LinkByName("eth0")
	check(t, err)
	check(t, h.LinkSetMTU(l, 1280))
	closeLater(t, func() error { return h.LinkSetMTU(l, l.Attrs().MTU) })
}

// slowQueue has packets wait on their way to the web server's pod, few at a time.
func (s *shop) slowQueue(t *testing.T) {
	h, err := s.near.NS.Netlink()
	check(t, err)
	closeLater(t, h.Close)
	queue := &netlink.Tbf{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: s.web.HostLink, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
		Rate:       131072, Limit: 3000, Buffer: 17930,
	}
	check(t, h.QdiscAdd(queue))
	closeLater(t, func() error { return h.QdiscDel(queue) })
}

// fillTable has the near node know as many connections as it can, none of which gives
// way to another.
func (s *shop) fillTable(t *testing.T) {
	// The node tracks connections where a rule needs that.
	_, err := s.near.AddSNAT(netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("192.0.2.0/24"),
		netip.MustParseAddr("192.0.2.1"))
	check(t, err)
	h, err := s.near.NS.Netlink()
	check(t, err)
	closeLater(t, func() error {
		defer h.Close()
		return h.ConntrackTableFlush(netlink.ConntrackTable)
	})
	const ports = 1 << 15
	for i := range 1 << 24 {
		src, dst := netip.AddrFrom4([4]byte{203, 0, 113, byte(i / ports)}), netip.AddrFrom4([4]byte{203, 0, 114, byte(i / ports >> 8)})
		port := uint16(ports + i%ports)
		err := h.ConntrackCreate(netlink.ConntrackTable, unix.AF_INET, &netlink.ConntrackFlow{
			FamilyType: unix.AF_INET, TimeOut: 600, Status: netlink.ConntrackStatusAssured | netlink.ConntrackStatusSeenReply | netlink.ConntrackStatusConfirmed,
			Forward: netlink.IPTuple{SrcIP: src.AsSlice(), DstIP: dst.AsSlice(), SrcPort: port, DstPort: 53, Protocol: unix.IPPROTO_UDP},
			Reverse: netlink.IPTuple{SrcIP: dst.AsSlice(), DstIP: src.AsSlice(), SrcPort: 53, DstPort: port, Protocol: unix.IPPROTO_UDP},
		})
		if errors.Is(err, unix.ENOMEM) {
			return
		}
		check(t, err)
	}
	t.Fatal("the table of connections has no end")
}

// unreadDevice is an interface of the near node that leads to a program.
const unreadDevice = "unread"

// unreadDevice has the near node send packets for a prefix to a program that does not
// read them.
func (s *shop) addUnreadDevice(prefix string) func(*testing.T) {
	return func(t *testing.T) {
		var device *os.File
		check(t, s.near.NS.Do(func() (err error) {
			device, err = openTUN(unreadDevice)
			return err
		}))
		closeLater(t, device.Close)
		h, err := s.near.NS.Netlink()
		check(t, err)
		defer h.Close()
		l, err := h.LinkByName(unreadDevice)
		check(t, err)
		check(t, h.LinkSetTxQLen(l, 5))
		check(t, h.LinkSetUp(l))
		_, dst, err := net.ParseCIDR(prefix)
		check(t, err)
		check(t, h.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Dst: dst}))
	}
}

// openTUN makes an interface whose packets are read from the file.
func openTUN(name string) (*os.File, error) {
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	request, err := unix.NewIfreq(name)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(int(f.Fd()), unix.TUNSETIFF, request); err != nil {
		return nil, errors.Join(fmt.Errorf("make interface %s: %w", name, err), f.Close())
	}
	return f, nil
}
