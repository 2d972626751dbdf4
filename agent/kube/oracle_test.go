package kube

import (
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// oracle judges as the API's documentation says, from the API's objects, with no
// thought of speed. It counts what it met.
type oracle struct {
	namespaces map[string]*corev1.Namespace
	pods       map[string]*corev1.Pod
	policies   map[string]*networkingv1.NetworkPolicy
	// admin are policies of administrators, by resource and name.
	admin map[string]document
	met   map[string]int
}

// connection is what is judged. Ends that are no pods are nil.
type connection struct {
	from, to         *corev1.Pod
	fromAddr, toAddr netip.Addr
	protocol         uint8
	port             uint16
}

// side is what policies say in one direction: whether any selects the pod, and
// those that allow it.
type side struct {
	selecting, allowing []string
}

func (s side) String() string {
	switch {
	case len(s.selecting) == 0:
		return "open"
	case len(s.allowing) > 0:
		return fmt.Sprint("allowed by ", s.allowing)
	}
	return fmt.Sprint("denied by ", s.selecting)
}

func (o *oracle) egress(c *connection) (s side) {
	for _, p := range o.sorted() {
		if c.from == nil || p.Namespace != c.from.Namespace || !o.selects(&p.Spec.PodSelector, c.from.Labels) {
			continue
		}
		applies := slices.Contains(p.Spec.PolicyTypes, networkingv1.PolicyTypeEgress) ||
			len(p.Spec.PolicyTypes) == 0 && len(p.Spec.Egress) > 0
		if !applies {
			continue
		}
		s.selecting = append(s.selecting, p.Namespace+"/"+p.Name)
		allows := false
		for _, rule := range p.Spec.Egress {
			if o.anyPeer(rule.To, p.Namespace, c.to, c.toAddr) && o.anyPort(rule.Ports, c) {
				allows = true
			}
		}
		if allows {
			s.allowing = append(s.allowing, p.Namespace+"/"+p.Name)
		}
	}
	return s
}

func (o *oracle) ingress(c *connection) (s side) {
	for _, p := range o.sorted() {
		if c.to == nil || p.Namespace != c.to.Namespace || !o.selects(&p.Spec.PodSelector, c.to.Labels) {
			continue
		}
		applies := slices.Contains(p.Spec.PolicyTypes, networkingv1.PolicyTypeIngress) || len(p.Spec.PolicyTypes) == 0
		if !applies {
			continue
		}
		s.selecting = append(s.selecting, p.Namespace+"/"+p.Name)
		allows := false
		for _, rule := range p.Spec.Ingress {
			if o.anyPeer(rule.From, p.Namespace, c.from, c.fromAddr) && o.anyPort(rule.Ports, c) {
				allows = true
			}
		}
		if allows {
			s.allowing = append(s.allowing, p.Namespace+"/"+p.Name)
		}
	}
	return s
}

func (o *oracle) sorted() (all []*networkingv1.NetworkPolicy) {
	for _, p := range o.policies {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *networkingv1.NetworkPolicy) int {
		return name{a.Namespace, a.Name}.compare(name{b.Namespace, b.Name})
	})
	return all
}

func (o *oracle) selects(s *metav1.LabelSelector, labels map[string]string) bool {
	for k, v := range s.MatchLabels {
		o.met["matchLabels"]++
		if got, ok := labels[k]; !ok || got != v {
			return false
		}
	}
	for _, e := range s.MatchExpressions {
		got, ok := labels[e.Key]
		var holds bool
		switch e.Operator {
		case metav1.LabelSelectorOpIn:
			holds = ok && slices.Contains(e.Values, got)
		case metav1.LabelSelectorOpNotIn:
			holds = !ok || !slices.Contains(e.Values, got)
		case metav1.LabelSelectorOpExists:
			holds = ok
		case metav1.LabelSelectorOpDoesNotExist:
			holds = !ok
		}
		o.met[fmt.Sprint(e.Operator, " ", holds)]++
		if !holds {
			return false
		}
	}
	return true
}

func (o *oracle) anyPeer(peers []networkingv1.NetworkPolicyPeer, namespace string, who *corev1.Pod, at netip.Addr) bool {
	if len(peers) == 0 {
		o.met["all peers"]++
		return true
	}
	for _, p := range peers {
		kind, is := "", false
		switch {
		case p.IPBlock != nil:
			kind = "ipBlock"
			is = netip.MustParsePrefix(p.IPBlock.CIDR).Contains(at)
			for _, e := range p.IPBlock.Except {
				if netip.MustParsePrefix(e).Contains(at) {
					kind, is = "ipBlock except", false
				}
			}
			if at.Is6() {
				kind += " IPv6"
			}
		case p.NamespaceSelector == nil:
			kind = "podSelector"
			is = who != nil && who.Namespace == namespace && o.selects(p.PodSelector, who.Labels)
		case p.PodSelector == nil:
			kind = "namespaceSelector"
			is = who != nil && o.selects(p.NamespaceSelector, o.namespaces[who.Namespace].Labels)
		default:
			kind = "both selectors"
			is = who != nil && o.selects(p.NamespaceSelector, o.namespaces[who.Namespace].Labels) &&
				o.selects(p.PodSelector, who.Labels)
		}
		o.met[fmt.Sprint(kind, " ", is)]++
		if is {
			return true
		}
	}
	return false
}

func (o *oracle) anyPort(ports []networkingv1.NetworkPolicyPort, c *connection) bool {
	if len(ports) == 0 {
		o.met["all ports"]++
		return true
	}
	for _, p := range ports {
		want := corev1.ProtocolTCP
		if p.Protocol != nil {
			want = *p.Protocol
		}
		if o.number(want) != c.protocol {
			continue
		}
		kind, is := "", false
		switch {
		case p.Port == nil:
			kind, is = "all ports of a protocol", true
		case p.Port.Type == intstr.String:
			kind = "named port"
			if c.to != nil {
				for _, container := range c.to.Spec.Containers {
					for _, has := range container.Ports {
						if has.Name == p.Port.StrVal && uint16(has.ContainerPort) == c.port && o.number(has.Protocol) == c.protocol {
							is = true
						}
					}
				}
			}
		case p.EndPort != nil:
			kind, is = "range of ports", int32(c.port) >= p.Port.IntVal && int32(c.port) <= *p.EndPort
		default:
			kind, is = "port", int32(c.port) == p.Port.IntVal
		}
		o.met[fmt.Sprint(kind, " ", is)]++
		if is {
			return true
		}
	}
	return false
}

func (*oracle) number(p corev1.Protocol) uint8 {
	return map[corev1.Protocol]uint8{"": 6, corev1.ProtocolTCP: 6, corev1.ProtocolUDP: 17, corev1.ProtocolSCTP: 132}[p]
}
