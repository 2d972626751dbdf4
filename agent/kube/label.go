package kube

import (
	"maps"
	"slices"
	"strings"
	"unique"

	corev1 "k8s.io/api/core/v1"

	"github.com/fovea-obs/fovea/agent/endpoint"
)

// What Cilium calls the labels that it adds to those of a pod.
const (
	clusterLabel        = "io.cilium.k8s.policy.cluster"
	accountLabel        = "io.cilium.k8s.policy.serviceaccount"
	namespaceLabel      = "io.kubernetes.pod.namespace"
	namespaceLabelsPart = "io.cilium.k8s.namespace.labels."
	ciliumPart          = "io.cilium.k8s."
)

func makeLabel(key, value string) label { return unique.Make("k8s:" + key + "=" + value) }

// podLabels are the labels of a pod, without those of its namespace. A pod cannot
// give itself one that Cilium would add.
func (m *mirror) podLabels(o *corev1.Pod) []label {
	list := make([]label, 0, min(len(o.Labels), maxLabels)+3)
	for _, k := range m.keys(o.Labels, name{o.Namespace, o.Name}) {
		if k != namespaceLabel && !strings.HasPrefix(k, ciliumPart) {
			list = append(list, makeLabel(k, o.Labels[k]))
		}
	}
	list = append(list, makeLabel(clusterLabel, m.cluster), makeLabel(namespaceLabel, o.Namespace))
	if o.Spec.ServiceAccountName != "" {
		list = append(list, makeLabel(accountLabel, o.Spec.ServiceAccountName))
	}
	return list
}

// keys are those of an object's labels that are kept, in order.
func (m *mirror) keys(labels map[string]string, of name) []string {
	all := slices.Sorted(maps.Keys(labels))
	if len(all) > maxLabels {
		m.addresses.left("labels", maxLabels, of)
		all = all[:maxLabels]
	}
	return all
}

// endpoint is the pod's, with the labels that its namespace has now.
func (m *mirror) endpoint(p *pod) endpoint.Endpoint {
	var more []label
	if ns := m.namespaces[p.namespace]; ns != nil {
		more = ns.labels
	}
	labels := make([]string, 0, len(p.labels)+len(more))
	for _, l := range p.labels {
		labels = append(labels, l.Value())
	}
	for _, l := range more {
		labels = append(labels, l.Value())
	}
	var workloads []endpoint.Workload
	if p.workload != (endpoint.Workload{}) {
		workloads = []endpoint.Workload{p.workload}
	}
	e := endpoint.ForLabels(m.cluster, p.namespace, p.name.name, labels, workloads)
	for _, n := range p.ports {
		e.Ports = append(e.Ports, endpoint.Port{Name: n.name.Value(), Number: n.number, Protocol: n.protocol})
	}
	return e
}

// namespace is what is kept of a Namespace: its labels, as its pods have them.
type namespace struct {
	name
	labels []label
}

func (n *namespace) id() name { return n.name }

func (m *mirror) convertNamespace(given any) (*namespace, bool) {
	o, ok := given.(*corev1.Namespace)
	if !ok {
		return nil, false
	}
	n := &namespace{name: name{name: o.Name}}
	for _, k := range m.keys(o.Labels, n.name) {
		n.labels = append(n.labels, makeLabel(namespaceLabelsPart+k, o.Labels[k]))
	}
	return n, true
}

func (m *mirror) setNamespace(n *namespace) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.label(n)
}

// label has the pods of a namespace told anew if its labels have changed.
func (m *mirror) label(n *namespace) {
	var before []label
	if old := m.namespaces[n.name.name]; old != nil {
		before = old.labels
	}
	m.namespaces[n.name.name] = n
	if slices.Equal(before, n.labels) {
		return
	}
	now := m.now()
	for _, p := range m.sortedPods() {
		if p.namespace == n.name.name {
			m.tell(p, now)
		}
	}
}

func (m *mirror) sortedPods() []*pod {
	return slices.SortedFunc(maps.Values(m.pods), func(a, b *pod) int { return a.compare(b.name) })
}

// removeNamespace tells nothing of its pods: they go before it does.
func (m *mirror) removeNamespace(n *namespace) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.namespaces, n.name.name)
}

func (m *mirror) replaceNamespaces(all []*namespace) {
	m.mu.Lock()
	defer m.mu.Unlock()
	there := make(map[string]bool, len(all))
	for _, n := range all {
		there[n.name.name] = true
		m.label(n)
	}
	maps.DeleteFunc(m.namespaces, func(n string, _ *namespace) bool { return !there[n] })
}
