package kube

import (
	"math"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/fovea-obs/fovea/agent/service"
)

// protocol is the number of one that a Service can have, 0 for others.
func protocol(p corev1.Protocol) uint8 {
	switch p {
	case corev1.ProtocolTCP, "":
		return 6
	case corev1.ProtocolUDP:
		return 17
	case corev1.ProtocolSCTP:
		return 132
	}
	return 0
}

// serviceObject is what is kept of a Service.
type serviceObject struct {
	name
	frontends []service.Frontend
}

func (s *serviceObject) id() name { return s.name }

// convertService keeps where a Service can be reached. Any address of a node, at
// which its node ports are, is the unspecified one.
func (m *mirror) convertService(given any) (*serviceObject, bool) {
	o, ok := given.(*corev1.Service)
	if !ok {
		return nil, false
	}
	s := &serviceObject{name: name{o.Namespace, o.Name}}
	if o.Spec.ClusterIP == corev1.ClusterIPNone || o.Spec.Type == corev1.ServiceTypeExternalName {
		return s, true
	}
	var at []netip.Addr
	for _, a := range slices.Concat(o.Spec.ClusterIPs, []string{o.Spec.ClusterIP}, o.Spec.ExternalIPs) {
		at = m.addresses.add(at, a, s.name)
	}
	for i := range o.Status.LoadBalancer.Ingress {
		at = m.addresses.add(at, o.Status.LoadBalancer.Ingress[i].IP, s.name)
	}
	for i := range o.Spec.Ports {
		p := &o.Spec.Ports[i]
		m.addFrontends(s, at, p.Port, protocol(p.Protocol))
		m.addFrontends(s, []netip.Addr{netip.IPv6Unspecified()}, p.NodePort, protocol(p.Protocol))
	}
	return s, true
}

// addFrontends adds a port at each of the addresses, if it is one.
func (m *mirror) addFrontends(s *serviceObject, at []netip.Addr, port int32, protocol uint8) {
	if port <= 0 || port > math.MaxUint16 || protocol == 0 {
		return
	}
	for _, a := range at {
		if len(s.frontends) == maxFrontends {
			m.addresses.left("addresses and ports", maxFrontends, s.name)
			return
		}
		s.frontends = append(s.frontends, service.Frontend{Address: a, Port: uint16(port), Protocol: protocol})
	}
}

// node is what is kept of a Node: its addresses, those inside of the cluster
// first, and where those of its pods are, if that is said.
type node struct {
	name
	addresses []netip.Addr
	pods      []netip.Prefix
}

func (n *node) id() name { return n.name }

func (m *mirror) convertNode(given any) (*node, bool) {
	o, ok := given.(*corev1.Node)
	if !ok {
		return nil, false
	}
	n := &node{name: name{name: o.Name}}
	for _, kind := range []corev1.NodeAddressType{corev1.NodeInternalIP, corev1.NodeExternalIP} {
		for _, a := range o.Status.Addresses {
			if a.Type == kind {
				n.addresses = m.addresses.add(n.addresses, a.Address, n.name)
			}
		}
	}
	for _, r := range slices.Concat(o.Spec.PodCIDRs, []string{o.Spec.PodCIDR}) {
		// Not all networks of pods go by these ranges: one that cannot be read is
		// as good as none.
		if p, err := netip.ParsePrefix(r); err == nil && len(n.pods) < maxRanges {
			n.pods = append(n.pods, p)
		}
	}
	return n, true
}

// slice is what is kept of an EndpointSlice.
type slice struct {
	name
	addresses []netip.Addr
}

func (s *slice) id() name { return s.name }

func (m *mirror) convertSlice(given any) (*slice, bool) {
	o, ok := given.(*discoveryv1.EndpointSlice)
	if !ok {
		return nil, false
	}
	s := &slice{name: name{o.Namespace, o.Name}}
	for i := range o.Endpoints {
		for _, a := range o.Endpoints[i].Addresses {
			if o.AddressType != discoveryv1.AddressTypeFQDN {
				s.addresses = m.addresses.add(s.addresses, a, s.name)
			}
		}
	}
	return s, true
}
