package kube

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// document is an object of the API as JSON has it.
type document = map[string]any

// at is what a document has at a path, nil if there is nothing.
func at(d any, path ...string) any {
	for _, p := range path {
		m, _ := d.(document)
		d = m[p]
	}
	return d
}

// guess is a choice of what nobody knows: whether each rule that may match does.
type guess struct {
	taken []bool
	next  int
}

// may is the next choice.
func (g *guess) may() bool {
	if g.next == len(g.taken) {
		g.taken = append(g.taken, false)
	}
	g.next++
	return g.taken[g.next-1]
}

// advance goes on to the next guess, and tells whether there is one.
func (g *guess) advance() bool {
	g.taken, g.next = g.taken[:g.next], 0
	for len(g.taken) > 0 {
		last := len(g.taken) - 1
		if !g.taken[last] {
			g.taken[last] = true
			return true
		}
		g.taken = g.taken[:last]
	}
	return false
}

// tiers is what policies of all kinds say of one direction: by each guess, in the
// form of side.
func (o *oracle) tiers(c *connection, inward bool) (all []string) {
	near, network := c.from, o.egress
	if inward {
		near, network = c.to, o.ingress
	}
	admin, baseline := o.selecting(near, inward, "Admin"), o.selecting(near, inward, "Baseline")
	s := network(c)
	if len(admin)+len(s.selecting)+len(baseline) == 0 {
		return []string{"open"}
	}
	for g := (guess{}); ; {
		said := o.first(&g, admin, c, inward)
		if said == "" && len(s.selecting) > 0 {
			said = s.String()
		} else if said == "" {
			said = cmp.Or(o.first(&g, baseline, c, inward), "allowed by []")
		}
		all = append(all, said)
		if !g.advance() {
			return all
		}
	}
}

// selecting are the policies of a tier that select the pod and have rules of the
// direction, in order.
func (o *oracle) selecting(near *corev1.Pod, inward bool, tier string) (list []document) {
	for _, d := range o.admin {
		rules, _ := at(d, "spec", direction(inward)).([]any)
		if near != nil && len(rules) > 0 && tierOf(d) == tier && o.hasPods(at(d, "spec", "subject"), near) {
			list = append(list, d)
		}
	}
	priority := func(d document) float64 { p, _ := at(d, "spec", "priority").(float64); return p }
	slices.SortFunc(list, func(a, b document) int {
		newer := func(d document) int { return map[any]int{"ClusterNetworkPolicy": 1}[d["kind"]] }
		return cmp.Or(cmp.Compare(priority(a), priority(b)), cmp.Compare(newer(a), newer(b)), strings.Compare(nameOf(a), nameOf(b)))
	})
	return list
}

func direction(inward bool) string { return map[bool]string{true: "ingress", false: "egress"}[inward] }

func nameOf(d document) string { return at(d, "metadata", "name").(string) }

func tierOf(d document) string {
	switch d["kind"] {
	case "AdminNetworkPolicy":
		return "Admin"
	case "BaselineAdminNetworkPolicy":
		return "Baseline"
	}
	return at(d, "spec", "tier").(string)
}

// first is what the first rule that matches does, nothing if it passes or there is
// none.
func (o *oracle) first(g *guess, list []document, c *connection, inward bool) string {
	for _, d := range list {
		for _, rule := range at(d, "spec", direction(inward)).([]any) {
			if !o.hasPort(rule, c) {
				continue
			}
			is, maybe := o.hasPeer(rule, c, inward)
			if !is && maybe {
				o.met["maybe"]++
				is = g.may()
			}
			if !is {
				continue
			}
			action := at(rule, "action").(string)
			o.met[fmt.Sprint(d["kind"], " ", tierOf(d), " ", action)]++
			switch action {
			case "Allow", "Accept":
				return fmt.Sprintf("allowed by [%s %s]", d["kind"], nameOf(d))
			case "Deny":
				return fmt.Sprintf("denied by [%s %s]", d["kind"], nameOf(d))
			}
			return ""
		}
	}
	return ""
}

// hasPods tells whether a pod is one of what has namespaces or pods.
func (o *oracle) hasPods(d any, who *corev1.Pod) bool {
	if who == nil {
		return false
	}
	theirs := o.namespaces[who.Namespace].Labels
	if n := at(d, "namespaces"); n != nil {
		return o.selects(selectorOf(n), theirs)
	}
	if p := at(d, "pods"); p != nil {
		return o.selects(selectorOf(at(p, "namespaceSelector")), theirs) && o.selects(selectorOf(at(p, "podSelector")), who.Labels)
	}
	return false
}

func selectorOf(d any) *metav1.LabelSelector {
	var s metav1.LabelSelector
	text, err := json.Marshal(d)
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		panic(err)
	}
	return &s
}

// hasPeer tells whether the other end is a peer of the rule, or may be.
func (o *oracle) hasPeer(rule any, c *connection, inward bool) (is, maybe bool) {
	field, far, addr := "to", c.to, c.toAddr
	if inward {
		field, far, addr = "from", c.from, c.fromAddr
	}
	for _, p := range at(rule, field).([]any) {
		kind := slices.Sorted(maps.Keys(p.(document)))[0]
		this := false
		switch kind {
		case "nodes":
			node := far == nil && addr == nodeAddr
			all := len(p.(document)["nodes"].(document)) == 0
			this, maybe = node && all, maybe || node && !all
		case "networks":
			for _, n := range at(p, "networks").([]any) {
				this = this || netip.MustParsePrefix(n.(string)).Contains(addr)
			}
		case "domainNames":
			maybe = true
		default:
			this = o.hasPods(p, far)
		}
		o.met[fmt.Sprint("peer ", kind, " ", this)]++
		is = is || this
	}
	return is, maybe
}

// hasPort tells whether the connection is to a port of the rule's.
func (o *oracle) hasPort(rule any, c *connection) bool {
	ports, limited := at(rule, "ports").([]any)
	if !limited {
		ports, limited = at(rule, "protocols").([]any)
	}
	if !limited {
		return true
	}
	for _, p := range ports {
		kind := slices.Sorted(maps.Keys(p.(document)))[0]
		d := at(p, kind)
		protocol := func() bool {
			name, _ := at(d, "protocol").(string)
			return o.number(corev1.Protocol(name)) == c.protocol
		}
		within := func(d any) bool {
			return float64(c.port) >= at(d, "start").(float64) && float64(c.port) <= at(d, "end").(float64)
		}
		is := false
		switch kind {
		case "portNumber":
			is = protocol() && at(d, "port") == float64(c.port)
		case "portRange":
			is = protocol() && within(d)
		case "namedPort", "destinationNamedPort":
			is = o.hasNamed(d.(string), c)
		default:
			is = o.number(corev1.Protocol(strings.ToUpper(kind))) == c.protocol
			if r := at(d, "destinationPort", "range"); r != nil {
				kind, is = kind+" range", is && within(r)
			} else {
				is = is && at(d, "destinationPort", "number") == float64(c.port)
			}
		}
		o.met[fmt.Sprint("port ", kind, " ", is)]++
		if is {
			return true
		}
	}
	return false
}

func (o *oracle) hasNamed(name string, c *connection) bool {
	if c.to == nil {
		return false
	}
	for _, container := range c.to.Spec.Containers {
		for _, has := range container.Ports {
			if has.Name == name && uint16(has.ContainerPort) == c.port && o.number(has.Protocol) == c.protocol {
				return true
			}
		}
	}
	return false
}
