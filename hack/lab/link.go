package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// linkTimeout is how long an interface may take to become usable.
const linkTimeout = 10 * time.Second

// withNetlink calls fn with a netlink handle that is closed afterwards.
func (n *Namespace) withNetlink(fn func(h *netlink.Handle) error) error {
	h, err := n.Netlink()
	if err != nil {
		return err
	}
	defer h.Close()
	return fn(h)
}

func (n *Namespace) loopbackUp() error {
	return n.withNetlink(func(h *netlink.Handle) error {
		lo, err := h.LinkByName("lo")
		if err != nil {
			return fmt.Errorf("find loopback interface: %w", err)
		}
		if err := h.LinkSetUp(lo); err != nil {
			return fmt.Errorf("set loopback interface up: %w", err)
		}
		return nil
	})
}

// waitUp waits until the named interface can carry packets. The kernel
// activates an interface some time after both ends of a pair are up, and
// silently drops what is sent before.
func (n *Namespace) waitUp(name string) error {
	ns := netns.NsHandle(n.FD())
	events, err := nl.SubscribeAt(ns, netns.None(), unix.NETLINK_ROUTE, unix.RTNLGRP_LINK)
	if err != nil {
		return fmt.Errorf("subscribe to interface events: %w", err)
	}
	defer events.Close()
	deadline := time.Now().Add(linkTimeout)
	return n.withNetlink(func(h *netlink.Handle) error {
		for {
			link, err := h.LinkByName(name)
			if err != nil {
				return fmt.Errorf("find interface %s: %w", name, err)
			}
			if link.Attrs().OperState == netlink.OperUp {
				return nil
			}
			if err := awaitEvent(events, deadline); err != nil {
				return fmt.Errorf("wait for interface %s to come up: %w", name, err)
			}
		}
	})
}

func awaitEvent(events *nl.NetlinkSocket, deadline time.Time) error {
	left := unix.NsecToTimeval(max(int64(time.Until(deadline)), int64(time.Microsecond)))
	if err := events.SetReceiveTimeout(&left); err != nil {
		return err
	}
	_, _, err := events.Receive()
	if errors.Is(err, unix.ENOBUFS) {
		return nil // events were lost, but there was one
	}
	return err
}

// addAddr gives the interface an address that is usable at once.
func addAddr(h *netlink.Handle, link netlink.Link, prefix netip.Prefix, scope netlink.Scope) error {
	addr := &netlink.Addr{IPNet: ipNet(prefix), Scope: int(scope)}
	if prefix.Addr().Is6() {
		addr.Flags = unix.IFA_F_NODAD
	}
	if err := h.AddrAdd(link, addr); err != nil {
		return fmt.Errorf("add address %s to interface %s: %w", prefix, link.Attrs().Name, err)
	}
	return nil
}

func addRoute(h *netlink.Handle, r *netlink.Route) error {
	if err := h.RouteAdd(r); err != nil {
		return fmt.Errorf("add route %s: %w", r, err)
	}
	return nil
}

// defaultRoute is the route to everywhere via gateway.
func defaultRoute(link netlink.Link, gateway netip.Addr) *netlink.Route {
	any := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if gateway.Is6() {
		any = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return &netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(any), Gw: gateway.AsSlice()}
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{
		IP:   p.Addr().AsSlice(),
		Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen()),
	}
}

// host is the prefix that covers only a.
func host(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }
