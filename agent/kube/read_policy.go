package kube

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/fovea-obs/fovea/agent/policy"
)

// policyReader reads a NetworkPolicy, and counts what it consists of.
type policyReader struct {
	namespace string
	size      int
}

// readPolicy returns what a NetworkPolicy says. Its errors name the field that
// this cannot be told of, as one that a newer API allows may be: a policy of which
// a part is left out would say something else.
func readPolicy(o *networkingv1.NetworkPolicy) (*policy.Policy, error) {
	r := policyReader{namespace: o.Namespace}
	in, out, err := policyTypes(&o.Spec)
	if err != nil {
		return nil, err
	}
	p := policy.Policy{Ref: policy.Ref{Kind: policy.Network}}
	if p.Subject, err = r.pods(o.Namespace, nil, &o.Spec.PodSelector); err != nil {
		return nil, fmt.Errorf("spec.%w", err)
	}
	p.Ingress.Applies, p.Egress.Applies = in, out
	for i := range o.Spec.Ingress {
		rule := &o.Spec.Ingress[i]
		if err := r.add(&p.Ingress, "from", rule.From, rule.Ports); err != nil {
			return nil, fmt.Errorf("spec.ingress[%d].%w", i, err)
		}
	}
	for i := range o.Spec.Egress {
		rule := &o.Spec.Egress[i]
		if err := r.add(&p.Egress, "to", rule.To, rule.Ports); err != nil {
			return nil, fmt.Errorf("spec.egress[%d].%w", i, err)
		}
	}
	return &p, nil
}

// policyTypes are the directions that a policy applies to. If it does not say, it
// is the one to its pods, and the other if it has rules for it.
func policyTypes(s *networkingv1.NetworkPolicySpec) (in, out bool, err error) {
	if len(s.PolicyTypes) == 0 {
		return true, len(s.Egress) > 0, nil
	}
	for i, t := range s.PolicyTypes {
		switch t {
		case networkingv1.PolicyTypeIngress:
			in = true
		case networkingv1.PolicyTypeEgress:
			out = true
		default:
			return false, false, fmt.Errorf("spec.policyTypes[%d]: it is %q, and may be Ingress or Egress", i, shorten(string(t)))
		}
	}
	return in, out, nil
}

// count fails if a policy has more than is kept.
func (r *policyReader) count(more int) error {
	if r.size += more; r.size > maxTerms {
		return fmt.Errorf("the policy has more than %d rules, peers, ports and values", maxTerms)
	}
	return nil
}

// add adds a rule, whose peers are in the field.
func (r *policyReader) add(to *policy.Part, field string, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) error {
	if err := r.count(1 + len(peers) + len(ports)); err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	var rule policy.Rule
	for i := range peers {
		p, err := r.peer(&peers[i])
		if err != nil {
			return fmt.Errorf("%s[%d]%w", field, i, err)
		}
		rule.Peers = append(rule.Peers, p)
	}
	for i := range ports {
		p, err := readPort(&ports[i])
		if err != nil {
			return fmt.Errorf("ports[%d].%w", i, err)
		}
		rule.Ports = append(rule.Ports, p)
	}
	to.Rules = append(to.Rules, rule)
	return nil
}

func (r *policyReader) peer(o *networkingv1.NetworkPolicyPeer) (policy.Peer, error) {
	switch {
	case o.IPBlock != nil && (o.PodSelector != nil || o.NamespaceSelector != nil):
		return policy.Peer{}, errors.New(".ipBlock: it cannot be with selectors")
	case o.IPBlock != nil:
		b, err := r.block(o.IPBlock)
		if err != nil {
			return policy.Peer{}, fmt.Errorf(".ipBlock.%w", err)
		}
		return policy.Peer{Block: b}, nil
	case o.PodSelector == nil && o.NamespaceSelector == nil:
		return policy.Peer{}, errors.New(": it has none of the fields that are known")
	}
	pods, err := r.pods(r.namespace, o.NamespaceSelector, o.PodSelector)
	if err != nil {
		return policy.Peer{}, fmt.Errorf(".%w", err)
	}
	return policy.Peer{Pods: &pods}, nil
}

// pods are those that selectors select, in the namespace if none is of
// namespaces.
func (r *policyReader) pods(namespace string, namespaces, pods *metav1.LabelSelector) (p policy.Pods, err error) {
	p.Namespace = namespace
	if namespaces != nil {
		p.Namespace = ""
		if p.Namespaces, err = r.selector(namespaces); err != nil {
			return p, fmt.Errorf("namespaceSelector.%w", err)
		}
	}
	if pods != nil {
		if p.Pods, err = r.selector(pods); err != nil {
			return p, fmt.Errorf("podSelector.%w", err)
		}
	}
	return p, nil
}

func readOperator(o metav1.LabelSelectorOperator) (_ policy.Operator, ok bool) {
	switch o {
	case metav1.LabelSelectorOpIn:
		return policy.In, true
	case metav1.LabelSelectorOpNotIn:
		return policy.NotIn, true
	case metav1.LabelSelectorOpExists:
		return policy.Exists, true
	case metav1.LabelSelectorOpDoesNotExist:
		return policy.DoesNotExist, true
	}
	return 0, false
}

func (r *policyReader) selector(o *metav1.LabelSelector) (s policy.Selector, err error) {
	if err := r.count(len(o.MatchLabels) + len(o.MatchExpressions)); err != nil {
		return nil, fmt.Errorf("matchExpressions: %w", err)
	}
	for _, k := range slices.Sorted(maps.Keys(o.MatchLabels)) {
		s = append(s, policy.Requirement{Key: k, Operator: policy.In, Values: []string{o.MatchLabels[k]}})
	}
	for i := range o.MatchExpressions {
		e := &o.MatchExpressions[i]
		operator, ok := readOperator(e.Operator)
		if !ok {
			return nil, fmt.Errorf("matchExpressions[%d]: the operator is %q", i, shorten(string(e.Operator)))
		}
		if takes := operator == policy.In || operator == policy.NotIn; takes != (len(e.Values) > 0) {
			return nil, fmt.Errorf("matchExpressions[%d]: %s has %d values", i, e.Operator, len(e.Values))
		}
		if err := r.count(len(e.Values)); err != nil {
			return nil, fmt.Errorf("matchExpressions[%d]: %w", i, err)
		}
		s = append(s, policy.Requirement{Key: e.Key, Operator: operator, Values: slices.Clone(e.Values)})
	}
	return s, nil
}

func (r *policyReader) block(o *networkingv1.IPBlock) (*policy.Block, error) {
	if err := r.count(len(o.Except)); err != nil {
		return nil, fmt.Errorf("except: %w", err)
	}
	p, err := readPrefix(o.CIDR)
	if err != nil {
		return nil, fmt.Errorf("cidr: %w", err)
	}
	b := &policy.Block{Prefix: p}
	for i, text := range o.Except {
		e, err := readPrefix(text)
		if err != nil {
			return nil, fmt.Errorf("except[%d]: %w", i, err)
		}
		b.Except = append(b.Except, e)
	}
	return b, nil
}

// readPrefix reads a range. One of IPv4 in the form of IPv6 is of IPv4.
func readPrefix(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, fmt.Errorf("%q is not a range of addresses", shorten(text))
	}
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}

func readPort(o *networkingv1.NetworkPolicyPort) (policy.Port, error) {
	p := policy.Port{Protocol: 6, Last: math.MaxUint16}
	if o.Protocol != nil {
		var err error
		if p.Protocol, err = readProtocolName(string(*o.Protocol)); err != nil {
			return p, fmt.Errorf("protocol: %w", err)
		}
	}
	switch {
	case o.Port == nil && o.EndPort == nil:
		return p, nil
	case o.Port == nil:
		return p, errors.New("endPort: there is no port")
	case o.Port.Type == intstr.String && o.EndPort != nil:
		return p, errors.New("endPort: port is a name")
	case o.Port.Type == intstr.String:
		if !isName(o.Port.StrVal) {
			return p, fmt.Errorf("port: %q is no name", shorten(o.Port.StrVal))
		}
		p.Name, p.Last = o.Port.StrVal, 0
		return p, nil
	}
	first, last := o.Port.IntVal, o.Port.IntVal
	if o.EndPort != nil {
		last = *o.EndPort
	}
	var err error
	if p.First, p.Last, err = readRange(first, last); err != nil {
		return p, fmt.Errorf("port: %w", err)
	}
	return p, nil
}

// readProtocolName returns the number of a protocol, of TCP if none is said.
func readProtocolName(name string) (uint8, error) {
	n := protocol(corev1.Protocol(name))
	if n == 0 {
		return 0, fmt.Errorf("it is %q, and may be TCP, UDP or SCTP", shorten(name))
	}
	return n, nil
}

func readRange(first, last int32) (uint16, uint16, error) {
	if first < 1 || last < first || last > math.MaxUint16 {
		return 0, 0, fmt.Errorf("it is %d to %d", first, last)
	}
	return uint16(first), uint16(last), nil
}

// shorten is a text for the log.
func shorten(text string) string { return text[:min(len(text), shown)] }
