package kube

import (
	"errors"
	"fmt"

	"sigs.k8s.io/json"

	"github.com/fovea-obs/fovea/agent/policy"
)

// adminReader reads a policy of the group policy.networking.k8s.io.
type adminReader struct {
	policyReader
	kind adminKind
}

// readAdmin returns what a policy of the kind says by its spec, in JSON. The Ref
// has no name. As with NetworkPolicies, all of it is understood or nothing: a
// field that is not known is an error, also where the API's own Go types would
// pass over it. An older v1alpha1, say, had a selector one level further in, and
// without it the rest selects all namespaces.
func readAdmin(kind adminKind, raw []byte) (*policy.Policy, error) {
	var s adminSpec
	strict, err := json.UnmarshalStrict(raw, &s)
	if err == nil && len(strict) > 0 {
		err = strict[0]
	}
	if err != nil {
		// It names what whoever wrote the policy chose.
		text := err.Error()
		return nil, fmt.Errorf("spec: %s", text[:min(len(text), 4*shown)])
	}
	r := adminReader{kind: kind}
	var p policy.Policy
	if p.Kind, p.Priority, err = r.place(&s); err != nil {
		return nil, fmt.Errorf("spec.%w", err)
	}
	subject, ok, err := r.podsSpec(&s.Subject)
	switch {
	case err != nil:
		return nil, fmt.Errorf("spec.subject%w", err)
	case !ok:
		return nil, errors.New("spec.subject: it has none of the fields that are known")
	}
	p.Subject = subject
	for i := range s.Ingress {
		if err := r.ingress(&p.Ingress, &s.Ingress[i]); err != nil {
			return nil, fmt.Errorf("spec.ingress[%d].%w", i, err)
		}
	}
	for i := range s.Egress {
		if err := r.egress(&p.Egress, &s.Egress[i]); err != nil {
			return nil, fmt.Errorf("spec.egress[%d].%w", i, err)
		}
	}
	return &p, nil
}

// place is where the policy is among others.
func (r *adminReader) place(s *adminSpec) (kind policy.Kind, priority int32, err error) {
	switch {
	case r.kind == baselinePolicy && s.Priority != nil:
		return 0, 0, errors.New("priority: this kind has none")
	case r.kind != clusterPolicy && s.Tier != nil:
		return 0, 0, errors.New("tier: this kind has none")
	case r.kind == baselinePolicy:
		return policy.Baseline, 0, nil
	case s.Priority == nil:
		return 0, 0, errors.New("priority: there is none")
	case r.kind == adminPolicy:
		return policy.Admin, *s.Priority, nil
	case s.Tier == nil:
		return 0, 0, errors.New("tier: there is none")
	}
	switch *s.Tier {
	case "Admin":
		return policy.ClusterAdmin, *s.Priority, nil
	case "Baseline":
		return policy.ClusterBaseline, *s.Priority, nil
	}
	return 0, 0, fmt.Errorf("tier: it is %q, and may be Admin or Baseline", shorten(*s.Tier))
}

// ingress adds a rule. A policy without any is not about the direction.
func (r *adminReader) ingress(to *policy.Part, o *adminRule) error {
	if o.To != nil {
		return errors.New("to: a rule of ingress has from")
	}
	peers := make([]adminPeer, 0, len(o.From))
	for i := range o.From {
		peers = append(peers, adminPeer{podsSpec: o.From[i]})
	}
	return r.rule(to, "from", o, peers)
}

func (r *adminReader) egress(to *policy.Part, o *adminRule) error {
	if o.From != nil {
		return errors.New("from: a rule of egress has to")
	}
	return r.rule(to, "to", o, o.To)
}

// rule adds a rule, whose peers are in the field.
func (r *adminReader) rule(to *policy.Part, field string, o *adminRule, peers []adminPeer) (err error) {
	if err := r.count(1 + len(peers)); err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	var rule policy.Rule
	if rule.Action, err = r.action(o.Action); err != nil {
		return fmt.Errorf("action: %w", err)
	}
	if len(peers) == 0 {
		// It would be all to a policy.Rule.
		return fmt.Errorf("%s: there is none", field)
	}
	for i := range peers {
		if rule.Peers, err = r.addPeer(rule.Peers, &peers[i]); err != nil {
			return fmt.Errorf("%s[%d]%w", field, i, err)
		}
	}
	if rule.Ports, err = r.ports(o); err != nil {
		return err
	}
	to.Applies = true
	to.Rules = append(to.Rules, rule)
	return nil
}

func (r *adminReader) action(text string) (policy.Action, error) {
	allow, may := "Allow", "Allow, Deny or Pass"
	switch r.kind {
	case baselinePolicy:
		may = "Allow or Deny"
	case clusterPolicy:
		allow, may = "Accept", "Accept, Deny or Pass"
	}
	switch {
	case text == allow:
		return policy.Allow, nil
	case text == "Deny":
		return policy.Deny, nil
	case text == "Pass" && r.kind != baselinePolicy:
		return policy.Pass, nil
	}
	return 0, fmt.Errorf("it is %q, and may be %s", shorten(text), may)
}

// addPeer appends what a peer is.
func (r *adminReader) addPeer(list []policy.Peer, o *adminPeer) ([]policy.Peer, error) {
	pods, isPods, err := r.podsSpec(&o.podsSpec)
	if err != nil {
		return nil, err
	}
	fields := given(isPods, o.Nodes != nil, o.Networks != nil, o.DomainNames != nil)
	switch {
	case fields > 1:
		return nil, errors.New(": it has more than one field")
	case isPods:
		return append(list, policy.Peer{Pods: &pods}), nil
	case o.Nodes != nil:
		nodes, err := r.selector(o.Nodes)
		if err != nil {
			return nil, fmt.Errorf(".nodes.%w", err)
		}
		return append(list, policy.Peer{Nodes: &nodes}), nil
	case len(o.Networks) > 0:
		return r.networks(list, o.Networks)
	case len(o.DomainNames) > 0:
		return append(list, policy.Peer{Domains: true}), nil
	}
	return nil, errors.New(": it has none of the fields that are known")
}

func (r *adminReader) networks(list []policy.Peer, networks []string) ([]policy.Peer, error) {
	if err := r.count(len(networks)); err != nil {
		return nil, fmt.Errorf(".networks: %w", err)
	}
	for i, text := range networks {
		p, err := readPrefix(text)
		if err != nil {
			return nil, fmt.Errorf(".networks[%d]: %w", i, err)
		}
		list = append(list, policy.Peer{Block: &policy.Block{Prefix: p}})
	}
	return list, nil
}

// podsSpec reads pods, if it is of any.
func (r *adminReader) podsSpec(o *podsSpec) (p policy.Pods, ok bool, err error) {
	switch {
	case o.Namespaces != nil && o.Pods != nil:
		return p, false, errors.New(": it has more than one field")
	case o.Namespaces != nil:
		if p.Namespaces, err = r.selector(o.Namespaces); err != nil {
			return p, false, fmt.Errorf(".namespaces.%w", err)
		}
		return p, true, nil
	case o.Pods != nil:
		if p, err = r.pods("", &o.Pods.NamespaceSelector, &o.Pods.PodSelector); err != nil {
			return p, false, fmt.Errorf(".pods.%w", err)
		}
		return p, true, nil
	}
	return p, false, nil
}
