package kube

import (
	"fmt"
	"maps"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/fovea-obs/fovea/agent/event"
	"github.com/fovea-obs/fovea/agent/policy"
)

// policyObject is what is kept of a NetworkPolicy. Its generation is greater when
// it says something else.
type policyObject struct {
	name
	uid        string
	generation int64
	rules      int
	// says is what the policy says until that is handed on, nil if it is not
	// understood.
	says *policy.Policy
}

func (p *policyObject) id() name { return p.name }

func (p *policyObject) ref() policy.Ref {
	return policy.Ref{Kind: policy.Network, Namespace: p.namespace, Name: p.name.name}
}

// convertPolicy logs a policy that is not understood: what it said before holds.
func (m *mirror) convertPolicy(given any) (*policyObject, bool) {
	o, ok := given.(*networkingv1.NetworkPolicy)
	if !ok {
		return nil, false
	}
	p := &policyObject{
		name: name{o.Namespace, o.Name}, uid: string(o.UID), generation: o.Generation,
		rules: len(o.Spec.Ingress) + len(o.Spec.Egress),
	}
	if m.judge == nil {
		return p, true
	}
	says, err := readPolicy(o)
	if err != nil {
		// Lists come again: it is said once for each generation.
		if m.addresses.first(fmt.Sprintf("policy %s/%s %s %d", o.Namespace, o.Name, o.UID, o.Generation)) {
			m.log.Warn("A network policy is not understood: what it said before holds", "namespace", o.Namespace, "name", o.Name, "error", err)
		}
		return p, true
	}
	says.Ref = p.ref()
	p.says = says
	return p, true
}

func (m *mirror) setPolicy(p *policyObject) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.policies[p.name]
	if old != nil && old.uid == p.uid && old.generation == p.generation && old.rules == p.rules {
		return
	}
	if old != nil && old.uid != p.uid {
		m.dropPolicy(old)
	}
	if p.says != nil {
		m.judge.Set(*p.says)
	}
	kept := *p
	kept.says = nil
	m.policies[p.name] = &kept
	m.tellPolicy(p, false)
}

func (m *mirror) removePolicy(p *policyObject) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if old := m.policies[p.name]; old != nil {
		m.dropPolicy(old)
	}
}

func (m *mirror) dropPolicy(old *policyObject) {
	delete(m.policies, old.name)
	if m.judge != nil {
		m.judge.Remove(old.ref())
	}
	m.tellPolicy(old, true)
}

func (m *mirror) replacePolicies(all []*policyObject) {
	there := map[name]bool{}
	for _, p := range all {
		there[p.name] = true
	}
	m.mu.Lock()
	known := slices.SortedFunc(maps.Values(m.policies), func(a, b *policyObject) int { return a.compare(b.name) })
	m.mu.Unlock()
	for _, p := range known {
		if !there[p.name] {
			m.removePolicy(p)
		}
	}
	slices.SortFunc(all, func(a, b *policyObject) int { return a.compare(b.name) })
	for _, p := range all {
		m.setPolicy(p)
	}
}

func (m *mirror) tellPolicy(p *policyObject, gone bool) {
	m.policy(event.Policy{Namespace: p.namespace, Name: p.name.name, UID: p.uid, Rules: p.rules, Gone: gone})
}
