package policy

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/fovea-obs/fovea/agent/endpoint"
)

// somebody is an end of a connection in tests, a pod if it has a name.
type somebody struct {
	namespace, name  string
	labels, ofTheirs map[string]string // ofTheirs are the namespace's
	ports            []endpoint.Port
	addr             netip.Addr
	isNode           bool
	number           endpoint.Number
}

// endpoint is what the endpoints' table is told of a pod.
func (s *somebody) endpoint() endpoint.Endpoint {
	var labels []string
	for k, v := range s.labels {
		labels = append(labels, "k8s:"+k+"="+v)
	}
	labels = append(labels, "k8s:io.kubernetes.pod.namespace="+s.namespace)
	for k, v := range s.ofTheirs {
		labels = append(labels, "k8s:io.cilium.k8s.namespace.labels."+k+"="+v)
	}
	e := endpoint.ForLabels("prod", s.namespace, s.name, labels, nil)
	e.Ports = s.ports
	return e
}

// plain says what policies say of one end, with all that is known: the result and
// by whom.
func plain(policies []Policy, inward bool, near, far, destination *somebody, protocol uint8, port uint16) string {
	var mine []*Policy
	for i := range policies {
		p := &policies[i]
		if near.name != "" && is(&p.Subject, near) && (inward && p.Ingress.Applies || !inward && p.Egress.Applies) {
			mine = append(mine, p)
		}
	}
	slices.SortFunc(mine, func(a, b *Policy) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Kind, b.Kind),
			cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	matching := func(p *Policy) (actions []Action) {
		rules := p.Egress.Rules
		if inward {
			rules = p.Ingress.Rules
		}
		for _, r := range rules {
			peer := len(r.Peers) == 0
			for _, to := range r.Peers {
				switch {
				case to.Pods != nil:
					peer = peer || far.name != "" && is(to.Pods, far)
				case to.Block != nil:
					in := to.Block.Prefix.Contains(far.addr)
					for _, e := range to.Block.Except {
						in = in && !e.Contains(far.addr)
					}
					peer = peer || in
				case to.Nodes != nil:
					peer = peer || far.isNode
				}
			}
			to := len(r.Ports) == 0
			for _, p := range r.Ports {
				if p.Protocol != 0 && p.Protocol != protocol {
					continue
				}
				to = to || p.Name == "" && port >= p.First && port <= p.Last
				for _, has := range destination.ports {
					to = to || p.Name == has.Name && has.Protocol == protocol && has.Number == port
				}
			}
			if peer && to {
				actions = append(actions, r.Action)
			}
		}
		return actions
	}
admin:
	for _, p := range mine {
		if p.Kind != Admin && p.Kind != ClusterAdmin {
			continue
		}
		for _, a := range matching(p) {
			switch a {
			case Allow:
				return "allowed by " + p.Name
			case Deny:
				return "denied by " + p.Name
			}
			break admin
		}
	}
	isolated, allowing, selecting := false, "", ""
	for _, p := range mine {
		if p.Kind == Network {
			isolated = true
			selecting += " " + p.Name
			if len(matching(p)) > 0 {
				allowing += " " + p.Name
			}
		}
	}
	switch {
	case allowing != "":
		return "allowed by" + allowing
	case isolated:
		return "denied by" + selecting
	}
	for _, p := range mine {
		if p.Kind != Baseline && p.Kind != ClusterBaseline {
			continue
		}
		for _, a := range matching(p) {
			return map[Action]string{Allow: "allowed by " + p.Name, Deny: "denied by " + p.Name, Pass: "allowed"}[a]
		}
	}
	return "allowed"
}

func is(p *Pods, s *somebody) bool {
	if p.Namespace != "" && p.Namespace != s.namespace {
		return false
	}
	return (p.Namespace != "" || fits(p.Namespaces, s.ofTheirs)) && fits(p.Pods, s.labels)
}

func fits(s Selector, labels map[string]string) bool {
	for _, r := range s {
		v, has := labels[r.Key]
		in := has && slices.Contains(r.Values, v)
		if !map[Operator]bool{In: in, NotIn: !in, Exists: has, DoesNotExist: !has}[r.Operator] {
			return false
		}
	}
	return true
}

func told(d Decision) string {
	s := []string{"unknown", "allowed", "denied"}[d.Result]
	for i, r := range d.By {
		if i == 0 {
			s += " by"
		}
		s += fmt.Sprint(" ", r.Name)
	}
	return s
}
