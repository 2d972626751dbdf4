package kube

import (
	"fmt"
	"maps"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/fovea-obs/fovea/agent/event"
	"github.com/fovea-obs/fovea/agent/policy"
)

// networkPolicies is the resource of the kind that has namespaces.
const networkPolicies = "networkpolicies"

// policyKey is unique among policies of all kinds.
type policyKey struct {
	resource string
	name
}

func (k policyKey) compare(other policyKey) int { return k.name.compare(other.name) }

// policyObject is what is kept of a policy of any kind. Its generation is greater
// when it says something else.
type policyObject struct {
	policyKey
	uid        string
	generation int64
	rules      int
	// says is what the policy says until that is handed on, nil if it is not
	// understood.
	says *policy.Policy
	// told is what it was handed on as, nil if it was not. The kind of a
	// ClusterNetworkPolicy changes with its tier.
	told *policy.Ref
}

func (p *policyObject) id() name { return p.name }

func (m *mirror) convertPolicy(given any) (*policyObject, bool) {
	o, ok := given.(*networkingv1.NetworkPolicy)
	if !ok {
		return nil, false
	}
	p := &policyObject{
		policyKey: policyKey{networkPolicies, name{o.Namespace, o.Name}}, uid: string(o.UID), generation: o.Generation,
		rules: len(o.Spec.Ingress) + len(o.Spec.Egress),
	}
	if m.judge != nil {
		says, err := readPolicy(o)
		m.understand(p, says, err)
	}
	return p, true
}

// convertAdmin returns what converts policies of a kind of administrators'.
func (m *mirror) convertAdmin(kind adminKind, resource string) func(any) (*policyObject, bool) {
	return func(given any) (*policyObject, bool) {
		o, ok := given.(*adminObject)
		if !ok {
			return nil, false
		}
		p := &policyObject{policyKey: policyKey{resource, name{"", o.Name}}, uid: string(o.UID), generation: o.Generation}
		says, err := readAdmin(kind, o.Spec)
		m.understand(p, says, err)
		return p, true
	}
}

// understand notes what a policy says. One that is not understood is logged: what
// it said before holds.
func (m *mirror) understand(p *policyObject, says *policy.Policy, err error) {
	if err == nil {
		says.Namespace, says.Name = p.namespace, p.name.name
		p.says = says
		return
	}
	// Lists come again: it is said once for each generation.
	if m.addresses.first(fmt.Sprintf("%s %s/%s %s %d", p.resource, p.namespace, p.name.name, p.uid, p.generation)) {
		m.log.Warn("A network policy is not understood: what it said before holds",
			"resource", p.resource, "namespace", p.namespace, "name", p.name.name, "error", err)
	}
}

func (m *mirror) setPolicy(p *policyObject) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.policies[p.policyKey]
	if old != nil && old.uid == p.uid && old.generation == p.generation && old.rules == p.rules {
		return
	}
	if old != nil && old.uid != p.uid {
		m.dropPolicy(old)
		old = nil
	}
	kept := *p
	kept.says = nil
	if old != nil {
		kept.told = old.told
	}
	if p.says != nil {
		m.judge.Set(*p.says)
		ref := p.says.Ref
		if kept.told != nil && *kept.told != ref {
			m.judge.Remove(*kept.told)
		}
		kept.told = &ref
	}
	m.policies[p.policyKey] = &kept
	m.tellPolicy(p, false)
}

func (m *mirror) removePolicy(p *policyObject) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if old := m.policies[p.policyKey]; old != nil {
		m.dropPolicy(old)
	}
}

func (m *mirror) dropPolicy(old *policyObject) {
	delete(m.policies, old.policyKey)
	if old.told != nil {
		m.judge.Remove(*old.told)
	}
	m.tellPolicy(old, true)
}

// replacePolicies returns what takes all that there are of a resource.
func (m *mirror) replacePolicies(resource string) func([]*policyObject) {
	return func(all []*policyObject) {
		there := map[policyKey]bool{}
		for _, p := range all {
			there[p.policyKey] = true
		}
		m.mu.Lock()
		known := slices.SortedFunc(maps.Values(m.policies), func(a, b *policyObject) int { return a.compare(b.policyKey) })
		m.mu.Unlock()
		for _, p := range known {
			if p.resource == resource && !there[p.policyKey] {
				m.removePolicy(p)
			}
		}
		slices.SortFunc(all, func(a, b *policyObject) int { return a.compare(b.policyKey) })
		for _, p := range all {
			m.setPolicy(p)
		}
	}
}

// tellPolicy has the log of events know, which is of NetworkPolicies.
func (m *mirror) tellPolicy(p *policyObject, gone bool) {
	if p.resource == networkPolicies {
		m.policy(event.Policy{Namespace: p.namespace, Name: p.name.name, UID: p.uid, Rules: p.rules, Gone: gone})
	}
}
