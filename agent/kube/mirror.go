package kube

import (
	"log/slog"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/event"
	"github.com/fovea-obs/fovea/agent/policy"
	"github.com/fovea-obs/fovea/agent/service"
)

// endpoints is what a mirror needs of an [endpoint.Table].
type endpoints interface {
	Set(key string, b endpoint.Binding, at int64)
	Remove(key string, at int64)
}

// policies is what a mirror needs of a [policy.Table].
type policies interface {
	Set(p policy.Policy)
	Remove(r policy.Ref)
}

type mirrorConfig struct {
	// cluster and self are the names of the cluster and of this node.
	cluster, self string
	endpoints     endpoints
	// judge is told what policies say; nil if nobody is.
	judge  policies
	policy func(event.Policy)
	now    func() int64
	log    *slog.Logger
}

// mirror is what is kept of the API's objects, and tells the tables what follows
// from them: of pods and policies at once, of the rest when it is taken. Its
// methods are safe for concurrent use.
type mirror struct {
	mirrorConfig
	addresses addresses
	// changed gets a value when there is something to take.
	changed chan struct{}

	services keeper[*serviceObject]
	nodes    keeper[*node]
	slices   keeper[*slice]

	mu         sync.Mutex
	pods       map[name]*pod
	namespaces map[string]*namespace
	policies   map[policyKey]*policyObject
	// listed is set once the pods were, for the first time.
	listed bool
	// left is how the last pod that had an address left it.
	left map[netip.Addr]departure
	// manyLeft is how many they are when old ones are forgotten.
	manyLeft int
}

func newMirror(c mirrorConfig) *mirror {
	m := &mirror{
		mirrorConfig: c, changed: make(chan struct{}, 1),
		addresses: addresses{log: c.log},
		pods:      map[name]*pod{}, namespaces: map[string]*namespace{}, policies: map[policyKey]*policyObject{},
		left: map[netip.Addr]departure{},
	}
	m.services.changed, m.nodes.changed, m.slices.changed = m.poke, m.poke, m.poke
	return m
}

func (m *mirror) poke() {
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

// counts are for the log.
func (m *mirror) counts() (pods, services, nodes int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.pods), len(m.services.list()), len(m.nodes.list())
}

// due is what the tables are to be told; what is nil has not changed.
type due struct {
	services   map[service.Frontend]service.Name
	nodes      []endpoint.Node
	apiServers []netip.Addr
}

// take returns what has changed since the last time.
func (m *mirror) take() *due {
	var d due
	if all, changed := m.services.take(); changed {
		d.services = frontends(all)
	}
	if all, changed := m.nodes.take(); changed {
		d.nodes = make([]endpoint.Node, 0, len(all))
		for _, n := range all {
			d.nodes = append(d.nodes, endpoint.Node{Name: n.name.name, Addresses: n.addresses, Pods: n.pods})
		}
	}
	if all, changed := m.slices.take(); changed {
		d.apiServers = []netip.Addr{}
		for _, s := range all {
			d.apiServers = append(d.apiServers, s.addresses...)
		}
	}
	return &d
}

// frontends are those of services. One that two claim is neither's.
func frontends(all []*serviceObject) map[service.Frontend]service.Name {
	of := map[service.Frontend]service.Name{}
	twice := map[service.Frontend]bool{}
	for _, s := range all {
		for _, f := range s.frontends {
			n := service.Name{Namespace: s.namespace, Name: s.name.name}
			if other, ok := of[f]; ok && other != n {
				twice[f] = true
			}
			of[f] = n
		}
	}
	maps.DeleteFunc(of, func(f service.Frontend, _ service.Name) bool { return twice[f] })
	return of
}

// name is what an object is called.
type name struct{ namespace, name string }

func (n name) compare(other name) int {
	if c := strings.Compare(n.namespace, other.namespace); c != 0 {
		return c
	}
	return strings.Compare(n.name, other.name)
}

// object is what is kept of an object of the API.
type object interface{ id() name }

// keeper keeps objects of a kind until they are taken. Its methods are safe for
// concurrent use.
type keeper[O object] struct {
	changed func()

	mu    sync.Mutex
	all   map[name]O
	dirty bool
}

func (k *keeper[O]) set(o O) {
	k.change(func() {
		if old, ok := k.all[o.id()]; ok && reflect.DeepEqual(old, o) {
			return
		}
		if k.all == nil {
			k.all = map[name]O{}
		}
		k.all[o.id()], k.dirty = o, true
	})
}

func (k *keeper[O]) remove(o O) {
	k.change(func() {
		delete(k.all, o.id())
		k.dirty = true
	})
}

func (k *keeper[O]) replace(all []O) {
	k.change(func() {
		k.all, k.dirty = make(map[name]O, len(all)), true
		for _, o := range all {
			k.all[o.id()] = o
		}
	})
}

func (k *keeper[O]) change(do func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if do(); k.dirty {
		k.changed()
	}
}

func (k *keeper[O]) list() []O {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.SortedFunc(maps.Values(k.all), func(a, b O) int { return a.id().compare(b.id()) })
}

// take returns all, in order, and whether that has changed since the last time.
func (k *keeper[O]) take() (all []O, changed bool) {
	k.mu.Lock()
	changed, k.dirty = k.dirty, false
	k.mu.Unlock()
	if !changed {
		return nil, false
	}
	return k.list(), true
}
