package netpol

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// matchPort matches a port at a pod, which says what number its name has: a pod may
// give a name to several ports, or to none.
func matchPort(p *pod, port networkingv1.NetworkPolicyPort) []string {
	protocol := protocolOf(port)
	switch {
	case port.Port == nil:
		return []string{"meta l4proto " + protocol}
	case port.Port.StrVal != "":
		var all []string
		for _, n := range p.numbers(port.Port.StrVal, protocol) {
			all = append(all, fmt.Sprintf("%s dport %d", protocol, n))
		}
		return all
	case port.EndPort != nil:
		return []string{fmt.Sprintf("%s dport %d-%d", protocol, port.Port.IntVal, *port.EndPort)}
	}
	return []string{fmt.Sprintf("%s dport %d", protocol, port.Port.IntVal)}
}

// named matches a named port at each pod that one of the peers has.
func (c *objects) named(peers []peer, port networkingv1.NetworkPolicyPort) (all []string) {
	for _, p := range c.pods {
		for _, a := range p.addrs {
			for _, e := range peers {
				if !e.has(a) {
					continue
				}
				for _, to := range matchPort(p, port) {
					all = append(all, join(address("daddr", a), to))
				}
				break
			}
		}
	}
	return all
}

// numbers are the ports of a pod that have a name.
func (p *pod) numbers(name, protocol string) (all []int32) {
	for _, c := range p.Spec.Containers {
		for _, has := range c.Ports {
			if has.Name == name && protocolName(has.Protocol) == protocol {
				all = append(all, has.ContainerPort)
			}
		}
	}
	return all
}

func protocolOf(port networkingv1.NetworkPolicyPort) string {
	if port.Protocol == nil {
		return protocolName("")
	}
	return protocolName(*port.Protocol)
}

// protocolName is what nft calls a protocol, TCP if none is said.
func protocolName(p corev1.Protocol) string {
	if p == "" {
		p = corev1.ProtocolTCP
	}
	return strings.ToLower(string(p))
}
