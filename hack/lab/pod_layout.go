package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// Gateways says who has the addresses that a pod's default routes lead to.
type Gateways int

const (
	// AtHostEnd: the host end has them.
	AtHostEnd Gateways = iota
	// AtBridge: a bridge of the node has them, of which the host end is a port.
	AtBridge
	// AtRouter: another interface of the node has them, which is an end of a pair
	// whose other end is in the node too. The pod has a neighbour entry for IPv6.
	AtRouter
	// AtNobody: nobody has that of IPv4, and the host end answers for it. That of
	// IPv6 is the host end's link-local address.
	AtNobody
	// AtNeighbour: nobody has them. The pod has neighbour entries that lead to the
	// host end.
	AtNeighbour
)

// Layout is how a network plugin sets up a pod's pair and its routes. The zero
// value is that of the CNI plugin "ptp" with single addresses.
type Layout struct {
	Gateways Gateways
	// Via names the interface that has the gateways' addresses, at AtBridge and
	// AtRouter. The node gets it with its first pod.
	Via string
	// Range gives the pod's addresses the prefixes of the node's ranges, whose
	// first addresses are the gateways.
	Range bool
	// Table is the number of a routing table by which what the pod sends is
	// routed to elsewhere; none if 0.
	Table int
}

// hostMAC is the host end's where nobody has the gateways' addresses. Its
// link-local address is made of it.
var (
	hostMAC       = net.HardwareAddr{0xee, 0xee, 0xee, 0xee, 0xee, 0xee}
	hostLinkLocal = netip.MustParseAddr("fe80::ecee:eeff:feee:eeee")
)

func (l Layout) check() error {
	if named := l.Gateways == AtBridge || l.Gateways == AtRouter; named != (l.Via != "") {
		return fmt.Errorf("gateways %d via interface %q", l.Gateways, l.Via)
	}
	if l.Gateways == AtBridge && !l.Range {
		return errors.New("a bridge without a range")
	}
	return nil
}

// gateways are what the pod's default routes lead to.
func (p *Pod) gateways() []netip.Addr {
	switch {
	case p.Layout.Range || p.Layout.Gateways == AtRouter:
		return []netip.Addr{p.Node.PodRange4.Addr().Next(), p.Node.PodRange6.Addr().Next()}
	case p.Layout.Gateways == AtNobody:
		return []netip.Addr{gateway4, hostLinkLocal}
	}
	return []netip.Addr{gateway4, gateway6}
}

// addresses are the pod's with their prefixes.
func (p *Pod) addresses() []netip.Prefix {
	if p.Layout.Range {
		return []netip.Prefix{
			netip.PrefixFrom(p.IPv4, p.Node.PodRange4.Bits()), netip.PrefixFrom(p.IPv6, p.Node.PodRange6.Bits()),
		}
	}
	return []netip.Prefix{host(p.IPv4), host(p.IPv6)}
}
