package lab

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
)

func (p *Pod) setUp() error {
	add := p.addPair
	if p.FromHost {
		add = p.addPairFromHost
	}
	if err := add(); err != nil {
		return err
	}
	if err := p.Node.NS.withNetlink(p.setUpHost); err != nil {
		return err
	}
	if err := p.NS.withNetlink(p.setUpPod); err != nil {
		return err
	}
	return p.wait()
}

// wait waits until the pod is reachable.
func (p *Pod) wait() error {
	if err := p.Node.NS.waitUp(p.Interface); err != nil {
		return err
	}
	if err := p.waitGateways(); err != nil {
		return err
	}
	if err := p.NS.waitUp(podLinkName); err != nil {
		return err
	}
	return p.NS.waitAddr(podLinkName, p.IPv6)
}

// addPair makes the pair in the pod's namespace, with the host end put
// directly into the node's.
func (p *Pod) addPair() error {
	return p.NS.withNetlink(func(h *netlink.Handle) error {
		veth := &netlink.Veth{
			PeerName:      p.Interface,
			PeerNamespace: netlink.NsFd(p.Node.NS.FD()),
			PeerMTU:       uint32(p.MTU),
		}
		veth.Name, veth.MTU = podLinkName, p.MTU
		if err := h.LinkAdd(veth); err != nil {
			return fmt.Errorf("add pair %s: %w", p.Interface, err)
		}
		return nil
	})
}

// addPairFromHost makes the pair in the node's namespace and moves one end.
func (p *Pod) addPairFromHost() error {
	const passing = "lab-moving"
	err := p.Node.NS.withNetlink(func(h *netlink.Handle) error {
		veth := &netlink.Veth{PeerName: passing, PeerMTU: uint32(p.MTU)}
		veth.Name, veth.MTU = p.Interface, p.MTU
		if err := h.LinkAdd(veth); err != nil {
			return fmt.Errorf("add pair %s: %w", p.Interface, err)
		}
		peer, err := h.LinkByName(passing)
		if err != nil {
			return fmt.Errorf("find peer of %s: %w", p.Interface, err)
		}
		if err := h.LinkSetNsFd(peer, p.NS.FD()); err != nil {
			return fmt.Errorf("move peer of %s: %w", p.Interface, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return p.NS.withNetlink(func(h *netlink.Handle) error {
		link, err := h.LinkByName(passing)
		if err != nil {
			return fmt.Errorf("find peer of %s: %w", p.Interface, err)
		}
		if err := h.LinkSetName(link, podLinkName); err != nil {
			return fmt.Errorf("rename peer of %s: %w", p.Interface, err)
		}
		return nil
	})
}

// setUpHost configures the host end and the node's routes to the pod.
func (p *Pod) setUpHost(h *netlink.Handle) error {
	link, err := h.LinkByName(p.Interface)
	if err != nil {
		return fmt.Errorf("find interface %s: %w", p.Interface, err)
	}
	p.HostLink, p.hostMAC = link.Attrs().Index, link.Attrs().HardwareAddr
	if p.Layout.Gateways == AtNobody {
		p.hostMAC = hostMAC
		if err := h.LinkSetHardwareAddr(link, hostMAC); err != nil {
			return fmt.Errorf("set address of interface %s: %w", p.Interface, err)
		}
	}
	if err := h.LinkSetUp(link); err != nil {
		return fmt.Errorf("set interface %s up: %w", p.Interface, err)
	}
	if err := p.addGateways(h, link); err != nil {
		return err
	}
	if p.Layout.Gateways == AtBridge {
		return nil
	}
	// The source keeps the node from using the gateway's addresses as its own.
	err = addRoute(h, &netlink.Route{
		LinkIndex: p.HostLink, Dst: ipNet(host(p.IPv4)), Src: p.Node.IPv4.AsSlice(), Scope: netlink.SCOPE_LINK,
	})
	if err != nil {
		return err
	}
	err = addRoute(h, &netlink.Route{
		LinkIndex: p.HostLink, Dst: ipNet(host(p.IPv6)), Src: p.Node.IPv6.AsSlice(),
	})
	if err != nil {
		return err
	}
	return p.addRules(h)
}

// setUpPod configures the pod's end.
func (p *Pod) setUpPod(h *netlink.Handle) error {
	link, err := h.LinkByName(podLinkName)
	if err != nil {
		return fmt.Errorf("find pod's interface: %w", err)
	}
	if err := h.LinkSetUp(link); err != nil {
		return fmt.Errorf("set pod's interface up: %w", err)
	}
	for i, a := range p.addresses() {
		if err := addAddr(h, link, a, netlink.SCOPE_UNIVERSE); err != nil {
			return err
		}
		if err := p.setUpGateway(h, link, a, p.gateways()[i]); err != nil {
			return err
		}
	}
	return nil
}

// setUpGateway adds the pod's routes of one IP version.
func (p *Pod) setUpGateway(h *netlink.Handle, link netlink.Link, own netip.Prefix, gateway netip.Addr) error {
	index := link.Attrs().Index
	if p.Layout.Range && p.Layout.Gateways != AtBridge {
		// Others of the range are behind the gateway too.
		if err := h.RouteDel(&netlink.Route{LinkIndex: index, Dst: ipNet(own.Masked()), Scope: netlink.SCOPE_LINK}); err != nil {
			return fmt.Errorf("delete route %s: %w", own.Masked(), err)
		}
	}
	if p.Layout.Gateways != AtBridge && !(gateway.Is6() && gateway.IsLinkLocalUnicast()) {
		err := addRoute(h, &netlink.Route{LinkIndex: index, Dst: ipNet(host(gateway)), Scope: netlink.SCOPE_LINK})
		if err != nil {
			return err
		}
	}
	if p.Layout.Gateways == AtNeighbour || p.Layout.Gateways == AtRouter && gateway.Is6() {
		err := h.NeighAdd(&netlink.Neigh{
			LinkIndex: index, State: netlink.NUD_PERMANENT, IP: gateway.AsSlice(), HardwareAddr: p.hostMAC,
		})
		if err != nil {
			return fmt.Errorf("add neighbour %s: %w", gateway, err)
		}
	}
	return addRoute(h, defaultRoute(link, gateway))
}
