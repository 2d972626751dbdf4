package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"path"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// addGateways gives the pod's gateways to the interface of the node that is to
// have them, or has the host end answer for them.
func (p *Pod) addGateways(h *netlink.Handle, hostEnd netlink.Link) error {
	at := hostEnd
	var err error
	switch p.Layout.Gateways {
	case AtBridge:
		if at, err = p.bridge(h); err == nil {
			err = h.LinkSetMaster(hostEnd, at)
		}
	case AtRouter:
		at, err = p.router(h)
	case AtNobody:
		return p.answerForGateway()
	case AtNeighbour:
		return nil
	}
	if err != nil {
		return fmt.Errorf("find or make interface %s: %w", p.Layout.Via, err)
	}
	for i, a := range p.gateways() {
		prefix, scope := host(a), netlink.SCOPE_UNIVERSE
		switch {
		case p.Layout.Gateways == AtBridge:
			prefix = netip.PrefixFrom(a, p.addresses()[i].Bits())
		case a.IsLinkLocalUnicast() && a.Is6():
			prefix, scope = netip.PrefixFrom(a, 64), netlink.SCOPE_LINK
		case a.IsLinkLocalUnicast():
			scope = netlink.SCOPE_LINK
		}
		// An earlier pod may have brought it.
		if err := addAddr(h, at, prefix, scope); err != nil && !errors.Is(err, unix.EEXIST) {
			return err
		}
	}
	return nil
}

// answerForGateway has the host end answer, at once, for addresses that the node
// has a route to.
func (p *Pod) answerForGateway() error {
	return errors.Join(
		p.Node.NS.Sysctl(path.Join("net/ipv4/conf", p.Interface, "proxy_arp"), "1"),
		p.Node.NS.Sysctl(path.Join("net/ipv4/neigh", p.Interface, "proxy_delay"), "0"))
}

// bridge returns the bridge that the layout names.
func (p *Pod) bridge(h *netlink.Handle) (netlink.Link, error) {
	snooping := false
	return findOrAdd(h, &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: p.Layout.Via}, MulticastSnooping: &snooping})
}

// router returns the end of a pair that the layout names. Both ends are in the
// node.
func (p *Pod) router(h *netlink.Handle) (netlink.Link, error) {
	name := p.Layout.Via
	other := name[:min(len(name), 11)] + "-net"
	link, err := findOrAdd(h, &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: other})
	if err != nil {
		return nil, err
	}
	end, err := h.LinkByName(other)
	if err != nil {
		return nil, err
	}
	return link, h.LinkSetUp(end)
}

// findOrAdd returns the interface with the name of link, which it adds, and sets
// up, if there is none.
func findOrAdd(h *netlink.Handle, link netlink.Link) (netlink.Link, error) {
	name := link.Attrs().Name
	found, err := h.LinkByName(name)
	if !errors.As(err, &netlink.LinkNotFoundError{}) {
		return found, err
	}
	if err := h.LinkAdd(link); err != nil {
		return nil, err
	}
	if err := h.LinkSetUp(link); err != nil {
		return nil, err
	}
	return h.LinkByName(name)
}

// waitGateways waits until the pod's gateways are there.
func (p *Pod) waitGateways() error {
	at := p.Interface
	switch p.Layout.Gateways {
	case AtNeighbour:
		return nil
	case AtBridge, AtRouter:
		at = p.Layout.Via
		if err := p.Node.NS.waitUp(at); err != nil {
			return err
		}
	}
	return p.Node.NS.waitAddr(at, p.gateways()[1])
}

// Priorities of the rules of a pod with a table of its own.
const (
	toPodPriority   = 512
	fromPodPriority = 1536
)

// rules lead packets to the pod by the main table, and its own by another.
func (p *Pod) rules() (list []*netlink.Rule) {
	if p.Layout.Table == 0 {
		return nil
	}
	for _, a := range []netip.Addr{p.IPv4, p.IPv6} {
		family := netlink.FAMILY_V4
		if a.Is6() {
			family = netlink.FAMILY_V6
		}
		to, from := netlink.NewRule(), netlink.NewRule()
		to.Family, to.Dst, to.Priority, to.Table = family, ipNet(host(a)), toPodPriority, unix.RT_TABLE_MAIN
		from.Family, from.Src, from.Priority, from.Table = family, ipNet(host(a)), fromPodPriority, p.Layout.Table
		list = append(list, to, from)
	}
	return list
}

// addRules adds the pod's rules, and the default routes of its table.
func (p *Pod) addRules(h *netlink.Handle) error {
	for _, r := range p.rules() {
		if err := h.RuleAdd(r); err != nil {
			return fmt.Errorf("add rule %s: %w", r, err)
		}
	}
	if p.Layout.Table == 0 {
		return nil
	}
	uplink, err := h.LinkByName(uplinkName)
	if err != nil {
		return fmt.Errorf("find uplink: %w", err)
	}
	for _, gw := range []netip.Addr{fabric4.Addr(), fabric6.Addr()} {
		r := defaultRoute(uplink, gw)
		r.Table = p.Layout.Table
		if err := h.RouteReplace(r); err != nil {
			return fmt.Errorf("add route %s: %w", r, err)
		}
	}
	return nil
}

// deleteRules removes what addRules added for this pod alone.
func (p *Pod) deleteRules(h *netlink.Handle) error {
	for _, r := range p.rules() {
		if err := h.RuleDel(r); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("delete rule %s: %w", r, err)
		}
	}
	return nil
}
