package lab

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// addUplink connects the node with the fabric's bridge.
func (n *Node) addUplink() error {
	port := fmt.Sprintf("node%d", n.index)
	err := n.NS.withNetlink(func(h *netlink.Handle) error {
		veth := &netlink.Veth{PeerName: port, PeerNamespace: netlink.NsFd(n.lab.fabric.FD())}
		veth.Name = uplinkName
		if err := h.LinkAdd(veth); err != nil {
			return fmt.Errorf("add uplink: %w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := n.lab.fabric.withNetlink(func(h *netlink.Handle) error { return addPort(h, port) }); err != nil {
		return err
	}
	if err := n.NS.withNetlink(n.addressUplink); err != nil {
		return err
	}
	if err := n.lab.fabric.waitUp(port); err != nil {
		return err
	}
	if err := n.lab.fabric.waitUp(bridgeName); err != nil {
		return err
	}
	if err := n.NS.waitUp(uplinkName); err != nil {
		return err
	}
	return n.NS.waitAddr(uplinkName, n.IPv6)
}

func addPort(h *netlink.Handle, port string) error {
	br, err := h.LinkByName(bridgeName)
	if err != nil {
		return fmt.Errorf("find bridge: %w", err)
	}
	link, err := h.LinkByName(port)
	if err != nil {
		return fmt.Errorf("find interface %s: %w", port, err)
	}
	if err := h.LinkSetMaster(link, br); err != nil {
		return fmt.Errorf("add interface %s to bridge: %w", port, err)
	}
	if err := h.LinkSetUp(link); err != nil {
		return fmt.Errorf("set interface %s up: %w", port, err)
	}
	return nil
}

func (n *Node) addressUplink(h *netlink.Handle) error {
	link, err := h.LinkByName(uplinkName)
	if err != nil {
		return fmt.Errorf("find uplink: %w", err)
	}
	if err := h.LinkSetUp(link); err != nil {
		return fmt.Errorf("set uplink up: %w", err)
	}
	for _, p := range []netip.Prefix{
		netip.PrefixFrom(n.IPv4, fabric4.Bits()), netip.PrefixFrom(n.IPv6, fabric6.Bits()),
	} {
		if err := addAddr(h, link, p, netlink.SCOPE_UNIVERSE); err != nil {
			return err
		}
	}
	for _, gw := range []netip.Addr{fabric4.Addr(), fabric6.Addr()} {
		if err := addRoute(h, defaultRoute(link, gw)); err != nil {
			return err
		}
	}
	return nil
}

// exchangeRoutes makes the pods of the node and of all others reachable.
func (n *Node) exchangeRoutes() error {
	if err := n.routeFrom(n.lab.fabric, bridgeName); err != nil {
		return err
	}
	for _, other := range n.lab.nodes {
		if other == n {
			continue
		}
		if err := n.routeFrom(other.NS, uplinkName); err != nil {
			return err
		}
		if err := other.routeFrom(n.NS, uplinkName); err != nil {
			return err
		}
	}
	return nil
}

// routeFrom adds routes in ns to the node's pods.
func (n *Node) routeFrom(ns *Namespace, link string) error {
	return ns.withNetlink(func(h *netlink.Handle) error {
		for _, r := range n.routes() {
			l, err := h.LinkByName(link)
			if err != nil {
				return fmt.Errorf("find interface %s: %w", link, err)
			}
			r.LinkIndex = l.Attrs().Index
			if err := addRoute(h, r); err != nil {
				return err
			}
		}
		return nil
	})
}

// routes are how others reach the node's pods.
func (n *Node) routes() []*netlink.Route {
	return []*netlink.Route{
		{Dst: ipNet(n.PodRange4), Gw: n.IPv4.AsSlice()},
		{Dst: ipNet(n.PodRange6), Gw: n.IPv6.AsSlice()},
	}
}

// withdraw removes the node's uplink and the others' routes to its pods.
func (n *Node) withdraw() error {
	errs := []error{n.NS.withNetlink(func(h *netlink.Handle) error { return deleteLink(h, uplinkName) })}
	namespaces := []*Namespace{n.lab.fabric}
	for _, o := range n.lab.nodes {
		namespaces = append(namespaces, o.NS)
	}
	for _, ns := range namespaces {
		errs = append(errs, ns.withNetlink(func(h *netlink.Handle) error {
			for _, r := range n.routes() {
				if err := h.RouteDel(r); err != nil && !errors.Is(err, unix.ESRCH) {
					return fmt.Errorf("delete route %s: %w", r, err)
				}
			}
			return nil
		}))
	}
	return errors.Join(errs...)
}

// deleteLink removes an interface, which need not be there.
func deleteLink(h *netlink.Handle, name string) error {
	link, err := h.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find interface %s: %w", name, err)
	}
	if err := h.LinkDel(link); err != nil {
		return fmt.Errorf("delete interface %s: %w", name, err)
	}
	return nil
}
