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
	err := n.await(unix.RTNLGRP_LINK, func(h *netlink.Handle) (bool, error) {
		link, err := h.LinkByName(name)
		return err == nil && link.Attrs().OperState == netlink.OperUp, err
	})
	if err != nil {
		return fmt.Errorf("wait for interface %s to come up: %w", name, err)
	}
	return nil
}

// waitAddr waits until the namespace takes packets for the IPv6 address on the
// named interface as its own, which is some time after the address was added.
func (n *Namespace) waitAddr(name string, addr netip.Addr) error {
	err := n.await(unix.RTNLGRP_IPV6_ROUTE, func(h *netlink.Handle) (bool, error) {
		var opts netlink.RouteGetOptions
		if addr.IsLinkLocalUnicast() {
			opts.Oif = name
		}
		routes, err := h.RouteGetWithOptions(addr.AsSlice(), &opts)
		if errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH) {
			return false, nil
		}
		return err == nil && len(routes) > 0 && routes[0].Type == unix.RTN_LOCAL, err
	})
	if err != nil {
		return fmt.Errorf("wait for address %s on interface %s: %w", addr, name, err)
	}
	return nil
}

// await waits until done returns true, calling it after each netlink event of
// the group.
func (n *Namespace) await(group uint, done func(*netlink.Handle) (bool, error)) error {
	ns := netns.NsHandle(n.FD())
	events, err := nl.SubscribeAt(ns, netns.None(), unix.NETLINK_ROUTE, group)
	if err != nil {
		return fmt.Errorf("subscribe to events: %w", err)
	}
	defer events.Close()
	deadline := time.Now().Add(linkTimeout)
	return n.withNetlink(func(h *netlink.Handle) error {
		for {
			ok, err := done(h)
			if err != nil || ok {
				return err
			}
			if err := awaitEvent(events, deadline); err != nil {
				return err
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
