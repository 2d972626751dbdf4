package kube

import (
	"net/netip"
	"slices"
	"unique"

	corev1 "k8s.io/api/core/v1"

	"github.com/fovea-obs/fovea/agent/endpoint"
)

// label is a label in Cilium's form, of which there is one copy.
type label = unique.Handle[string]

// pod is what is kept of a Pod.
type pod struct {
	name
	uid string
	// labels are all but those of its namespace.
	labels    []label
	workload  endpoint.Workload
	addresses []netip.Addr
	ports     []namedPort
	// started is when its kubelet accepted it, 0 if it does not say.
	started                 int64
	local, leaving, running bool
	// ended says that all its containers came to their end.
	ended bool
}

func (p *pod) id() name { return p.name }

// here tells whether the pod has addresses that are its own.
func (p *pod) here() bool { return len(p.addresses) > 0 }

// same tells whether the tables would be told the same of both.
func (p *pod) same(other *pod) bool {
	return p.uid == other.uid && p.workload == other.workload && p.local == other.local &&
		p.leaving == other.leaving && slices.Equal(p.labels, other.labels) && slices.Equal(p.addresses, other.addresses) &&
		slices.Equal(p.ports, other.ports)
}

func (m *mirror) convertPod(given any) (*pod, bool) {
	o, ok := given.(*corev1.Pod)
	if !ok {
		return nil, false
	}
	p := &pod{name: name{o.Namespace, o.Name}, uid: string(o.UID)}
	if p.uid == "" {
		p.uid = o.Namespace + "/" + o.Name
	}
	p.ended = o.Status.Phase == corev1.PodSucceeded || o.Status.Phase == corev1.PodFailed
	if p.ended || o.Spec.HostNetwork {
		return p, true
	}
	for _, a := range o.Status.PodIPs {
		p.addresses = m.addresses.add(p.addresses, a.IP, p.name)
	}
	p.addresses = m.addresses.add(p.addresses, o.Status.PodIP, p.name)
	if !p.here() {
		return p, true
	}
	p.labels = m.podLabels(o)
	p.workload = workload(o)
	p.ports = m.namedPorts(o)
	if o.Status.StartTime != nil {
		p.started = max(o.Status.StartTime.UnixNano(), 0)
	}
	p.local = o.Spec.NodeName == m.self
	p.leaving = o.DeletionTimestamp != nil
	p.running = o.Status.Phase == corev1.PodRunning
	return p, true
}

// setPod tells of a pod that came or changed.
func (m *mirror) setPod(p *pod) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(p, m.now(), false)
}

// removePod tells of a pod that went.
func (m *mirror) removePod(p *pod) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if old := m.pods[p.name]; old != nil && old.uid == p.uid {
		m.end(old, m.now(), false)
	}
}

// replacePods tells what has changed, first of those that are gone, then of those
// that leave.
func (m *mirror) replacePods(all []*pod) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	there := make(map[name]*pod, len(all))
	claims := map[netip.Addr]int{}
	for _, p := range all {
		there[p.name] = p
		for _, a := range p.addresses {
			claims[a]++
		}
	}
	for _, old := range m.sortedPods() {
		if p := there[old.name]; p == nil || p.uid != old.uid || !p.here() {
			m.end(old, now, p != nil && p.uid == old.uid && p.ended)
		}
	}
	slices.SortStableFunc(all, func(a, b *pod) int {
		switch {
		case a.leaving == b.leaving:
			return a.compare(b.name)
		case a.leaving:
			return -1
		}
		return 1
	})
	for _, p := range all {
		m.put(p, now, !m.listed && !slices.ContainsFunc(p.addresses, func(a netip.Addr) bool { return claims[a] > 1 }))
	}
	m.listed = true
}

// put tells of a pod as it is now. Before says that one which runs did so before
// we were here.
func (m *mirror) put(p *pod, now int64, before bool) {
	old := m.pods[p.name]
	if old != nil && (old.uid != p.uid || !p.here()) {
		m.end(old, now, old.uid == p.uid && p.ended)
		old = nil
	}
	if !p.here() || old != nil && old.same(p) {
		return
	}
	m.pods[p.name] = p
	at := now
	if old == nil && !p.leaving {
		at = m.start(p, now, before)
	}
	m.tell(p, at)
}

// start is when a new pod's addresses became its own, as far back as that is sure.
func (m *mirror) start(p *pod, now int64, before bool) int64 {
	at := now
	switch {
	case before && p.running:
		at = 0
	case p.started != 0:
		at = min(p.started, now)
	}
	for _, a := range p.addresses {
		last, ok := m.left[a]
		if ok && !last.ended && now < last.at+forgetLeft {
			return now
		}
		at = max(at, last.at)
	}
	return at
}

func (m *mirror) tell(p *pod, at int64) {
	if p.leaving {
		m.leave(p, departure{at: at, ended: true})
	}
	m.endpoints.Set(p.uid, endpoint.Binding{
		Endpoint: m.endpoint(p), Addresses: p.addresses, Local: p.local, Leaving: p.leaving,
	}, at)
}

// end says that a pod is no more. Ended says that nothing of it runs: one that is
// deleted by force does for as long as its kubelet gives it, and longer if that is cut
// off.
func (m *mirror) end(p *pod, now int64, ended bool) {
	delete(m.pods, p.name)
	if !ended {
		m.leave(p, departure{at: now})
	}
	m.endpoints.Remove(p.uid, now)
}

const (
	// forgetLeft is how long it is known, in nanoseconds, that a pod left an
	// address: longer than the table knows what was there before, and than pods
	// are given to end.
	forgetLeft = int64(120e9)
	// fewLeft is how many such addresses are not looked through for old ones.
	fewLeft = 1024
)

// departure is that a pod was told to leave an address, or was gone.
type departure struct {
	at int64
	// ended says that the next pod has the address only after this one ended. Else
	// what was seen of the address before the next is known may be of either.
	ended bool
}

// leave notes that the pod's addresses may be another's.
func (m *mirror) leave(p *pod, d departure) {
	if len(m.left) >= m.manyLeft {
		for a, last := range m.left {
			if last.at <= d.at-forgetLeft {
				delete(m.left, a)
			}
		}
		m.manyLeft = max(fewLeft, 2*len(m.left))
	}
	for _, a := range p.addresses {
		m.left[a] = d
	}
}
