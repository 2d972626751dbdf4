package netpol

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// objects are what is known of a cluster.
type objects struct {
	namespaces map[string]labels.Set
	// pods are those with addresses of their own, by their names.
	pods []*pod
	// policies are in the order of their names.
	policies []*networkingv1.NetworkPolicy
}

type pod struct {
	*corev1.Pod
	node  string
	addrs []netip.Addr
}

func (p *pod) name() string { return p.Namespace + "/" + p.Name }

func read(o Objects) (*objects, error) {
	c := &objects{namespaces: map[string]labels.Set{}}
	for i := range o.Namespaces {
		c.namespaces[o.Namespaces[i].Name] = o.Namespaces[i].Labels
	}
	for i := range o.Pods {
		p := &pod{Pod: &o.Pods[i], node: o.Pods[i].Spec.NodeName}
		if p.Spec.HostNetwork || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			continue
		}
		for _, ip := range p.Status.PodIPs {
			a, err := netip.ParseAddr(ip.IP)
			if err != nil {
				return nil, fmt.Errorf("pod %s: address: %w", p.name(), err)
			}
			p.addrs = append(p.addrs, a)
		}
		c.pods = append(c.pods, p)
	}
	slices.SortFunc(c.pods, func(a, b *pod) int { return strings.Compare(a.name(), b.name()) })
	for i := range o.Policies {
		p := &o.Policies[i]
		if _, err := selector(&p.Spec.PodSelector); err != nil {
			return nil, fmt.Errorf("network policy %s/%s: podSelector: %w", p.Namespace, p.Name, err)
		}
		c.policies = append(c.policies, p)
	}
	slices.SortFunc(c.policies, func(a, b *networkingv1.NetworkPolicy) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
	return c, nil
}

// selecting are the policies of a direction that select a pod.
func (c *objects) selecting(p *pod, kind networkingv1.PolicyType) (all []*networkingv1.NetworkPolicy) {
	for _, policy := range c.policies {
		if policy.Namespace != p.Namespace || !slices.Contains(types(policy), kind) {
			continue
		}
		if s, err := selector(&policy.Spec.PodSelector); err == nil && s.Matches(labels.Set(p.Labels)) { // read checked it
			all = append(all, policy)
		}
	}
	return all
}

// types are the directions that a policy is about, which it need not say: ingress,
// and egress if it has rules for that.
func types(p *networkingv1.NetworkPolicy) []networkingv1.PolicyType {
	switch {
	case len(p.Spec.PolicyTypes) > 0:
		return p.Spec.PolicyTypes
	case len(p.Spec.Egress) > 0:
		return []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}
	}
	return []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
}

// selector reads one that is there: an empty one selects all.
func selector(s *metav1.LabelSelector) (labels.Selector, error) {
	return metav1.LabelSelectorAsSelector(s)
}
