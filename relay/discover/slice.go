package discover

import (
	"cmp"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// slice is what is kept of an EndpointSlice.
type slice struct {
	name      string
	endpoints []endpoint
	// left is what was left out first, and why; empty if nothing was.
	left string
}

// endpoint is an agent.
type endpoint struct {
	node               string
	address            netip.AddrPort
	ready, terminating bool
}

// convert keeps the endpoints that can be asked.
func convert(given any) (*slice, bool) {
	o, ok := given.(*discoveryv1.EndpointSlice)
	if !ok {
		return nil, false
	}
	s := &slice{name: o.Name}
	port, ok := portOf(o.Ports)
	if !ok {
		s.left = "all endpoints: there is no port of TCP"
		return s, true
	}
	for i := range o.Endpoints {
		s.add(&o.Endpoints[i], port)
	}
	return s, true
}

func (s *slice) add(o *discoveryv1.Endpoint, port uint16) {
	c := o.Conditions
	e := endpoint{ready: valueOf(c.Ready, true), terminating: valueOf(c.Terminating, false)}
	if e.terminating && !valueOf(c.Serving, e.ready) {
		return
	}
	if e.node = valueOf(o.NodeName, ""); e.node == "" {
		s.leave(fmt.Sprintf("endpoint %q: it has no node's name", o.Addresses))
		return
	}
	// More than one are the same endpoint, of which any may be taken.
	for _, text := range o.Addresses {
		address, err := netip.ParseAddr(text)
		if err == nil {
			e.address = netip.AddrPortFrom(address.Unmap(), port)
			s.endpoints = append(s.endpoints, e)
			return
		}
	}
	s.leave(fmt.Sprintf("endpoint %q of node %q: it has no IP address", o.Addresses, e.node))
}

func (s *slice) leave(what string) { s.left = cmp.Or(s.left, what) }

// portOf is the one that agents are asked at.
func portOf(all []discoveryv1.EndpointPort) (port uint16, ok bool) {
	rank := 0
	for i := range all {
		p := &all[i]
		n := valueOf(p.Port, 0)
		if valueOf(p.Protocol, corev1.ProtocolTCP) != corev1.ProtocolTCP || n <= 0 || n > 1<<16-1 {
			continue
		}
		r := 1
		switch valueOf(p.Name, "") {
		case "peer-service":
			r = 3
		case "grpc":
			r = 2
		}
		if r > rank {
			rank, port = r, uint16(n)
		}
	}
	return port, rank > 0
}

// compare tells which of two endpoints of a node is asked: the lesser.
func (e endpoint) compare(other endpoint) int {
	return cmp.Or(
		second(e.terminating, other.terminating),
		second(!e.address.Addr().Is4(), !other.address.Addr().Is4()),
		second(!e.ready, !other.ready),
		e.address.Compare(other.address))
}

// second puts those of which something is true behind the others.
func second(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// valueOf is what p points to, or the value that stands for nothing.
func valueOf[T any](p *T, none T) T {
	if p == nil {
		return none
	}
	return *p
}
