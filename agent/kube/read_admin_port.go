package kube

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/fovea-obs/fovea/agent/policy"
)

// ports are those of a rule, none if it is about all.
func (r *adminReader) ports(o *adminRule) (list []policy.Port, err error) {
	switch {
	case o.Ports != nil && r.kind == clusterPolicy:
		return nil, errors.New("ports: this kind has none")
	case o.Protocols != nil && r.kind != clusterPolicy:
		return nil, errors.New("protocols: this kind has none")
	case o.Ports != nil:
		return readEach(r, "ports", *o.Ports, readAdminPort)
	case o.Protocols != nil:
		return readEach(r, "protocols", *o.Protocols, readProtocol)
	}
	return nil, nil
}

// readEach reads the ports in a field, of which there is one at least.
func readEach[P any](r *adminReader, field string, all []P, read func(*P) (policy.Port, error)) ([]policy.Port, error) {
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: there is none", field)
	}
	if err := r.count(len(all)); err != nil {
		return nil, fmt.Errorf("%s: %w", field, err)
	}
	list := make([]policy.Port, len(all))
	for i := range all {
		var err error
		if list[i], err = read(&all[i]); err != nil {
			return nil, fmt.Errorf("%s[%d]%w", field, i, err)
		}
	}
	return list, nil
}

func readAdminPort(o *adminPort) (policy.Port, error) {
	switch {
	case given(o.PortNumber != nil, o.NamedPort != nil, o.PortRange != nil) != 1:
		return policy.Port{}, errors.New(": it has not one of the fields that are known")
	case o.NamedPort != nil:
		p, err := portOfName(*o.NamedPort)
		return p, inField(".namedPort", err)
	case o.PortNumber != nil:
		p, err := portsOf(o.PortNumber.Protocol, o.PortNumber.Port, o.PortNumber.Port)
		return p, inField(".portNumber", err)
	}
	p, err := portsOf(o.PortRange.Protocol, o.PortRange.Start, o.PortRange.End)
	return p, inField(".portRange", err)
}

func readProtocol(o *protocolMatch) (policy.Port, error) {
	if given(o.TCP != nil, o.UDP != nil, o.SCTP != nil, o.DestinationNamedPort != nil) != 1 {
		return policy.Port{}, errors.New(": it has not one of the fields that are known")
	}
	if o.DestinationNamedPort != nil {
		p, err := portOfName(*o.DestinationNamedPort)
		return p, inField(".destinationNamedPort", err)
	}
	field, protocol, match := ".tcp", corev1.ProtocolTCP, o.TCP
	switch {
	case o.UDP != nil:
		field, protocol, match = ".udp", corev1.ProtocolUDP, o.UDP
	case o.SCTP != nil:
		field, protocol, match = ".sctp", corev1.ProtocolSCTP, o.SCTP
	}
	at := match.DestinationPort
	switch {
	case at == nil || given(at.Number != nil, at.Range != nil) != 1:
		return policy.Port{}, fmt.Errorf("%s: it has not one of the fields that are known", field)
	case at.Number != nil:
		p, err := portsOf(string(protocol), *at.Number, *at.Number)
		return p, inField(field+".destinationPort.number", err)
	}
	p, err := portsOf(string(protocol), at.Range.Start, at.Range.End)
	return p, inField(field+".destinationPort.range", err)
}

// portOfName is a port that a pod has by this name, of any protocol.
func portOfName(name string) (policy.Port, error) {
	if !isName(name) {
		return policy.Port{}, fmt.Errorf("%q is no name", shorten(name))
	}
	return policy.Port{Name: name}, nil
}

// portsOf are ports of a protocol, TCP if none is said.
func portsOf(name string, first, last int32) (p policy.Port, err error) {
	if p.Protocol, err = readProtocolName(name); err != nil {
		return p, err
	}
	p.First, p.Last, err = readRange(first, last)
	return p, err
}

// inField has an error, if it is one, say which field it is about.
func inField(field string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", field, err)
}

// given counts the fields that are there.
func given(all ...bool) (n int) {
	for _, is := range all {
		if is {
			n++
		}
	}
	return n
}
