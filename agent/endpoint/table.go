package endpoint

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"github.com/fovea-obs/fovea/agent/intern"
)

// Binding says which interface and addresses lead to an endpoint.
type Binding struct {
	Endpoint Endpoint
	// Interface is the name of the node's interface that leads to the
	// endpoint, or empty if it is not known or on another node.
	Interface string
	Addresses []netip.Addr
	// Local says that the endpoint is on this node, behind the interface whose
	// far end has one of its addresses.
	Local bool
	// Leaving says that the endpoint is going, so that its addresses may be
	// another's at any moment: from now on they tell nothing of who is behind
	// them but for the interface.
	Leaving bool

	suggested bool // see Table.Suggest
}

// Node is a node of the cluster.
type Node struct {
	Name      string
	Addresses []netip.Addr
	// Pods are the ranges of the addresses that pods of the node get.
	Pods []netip.Prefix
}

// Table answers who is behind an interface or an address. Its methods are safe
// for concurrent use. All times are in nanoseconds since 1970.
type Table struct {
	cluster  string
	versions *intern.Set[key, Endpoint]
	watchers []func(Change)

	// changing is held through a change and while the watchers are told of it,
	// always before mu, so that they are told in order and may ask the table.
	changing sync.Mutex
	// here are the versions that the watchers were told of last, by key.
	here map[string]*Endpoint

	mu       sync.RWMutex
	bindings map[string]Binding
	// held are the versions that somebody asked for by Hold.
	held map[Number]bool
	// links are the indexes of the interfaces that exist, by name; byIndex and
	// byName say who is behind them.
	links   map[string]uint32
	byIndex map[uint32]Number
	byName  map[string]string // interface to the binding's key
	// gone are the interfaces that went last, in that order.
	gone []uint32
	far  map[uint32]*farEnd
	late late
	// suggested are the numbers of what was suggested, and of nobody told since,
	// with the keys of their bindings.
	suggested map[Number]string
	// addrs has all that is known of an address, in its 16-byte form: one
	// look-up a flow. Entries that say nothing any more are removed.
	addrs map[[16]byte]*address
	// ended are the addresses to look at again when they are forgotten.
	ended []ending
	// apiServers are the versions of World, Host and RemoteNode where an API
	// server is; none before there is one.
	apiServers map[Number]Number
}

// NewTable returns a table of the named cluster that knows the reserved
// endpoints only. The watchers are told of the changes at this node, one after
// the other: they may ask the table but not change it.
func NewTable(cluster string, watchers ...func(Change)) *Table {
	return &Table{
		cluster: cluster,
		versions: intern.New[key](
			// In the order of the constants.
			Endpoint{Identity: identityUnknown, Labels: []string{"reserved:unknown"}},
			Endpoint{Identity: identityWorld, Labels: []string{"reserved:world"}},
			Endpoint{Identity: identityHost, Cluster: cluster, Labels: []string{"reserved:host"}},
			Endpoint{Identity: identityRemoteNode, Cluster: cluster, Labels: []string{"reserved:remote-node"}},
		),
		watchers: watchers,
		here:     map[string]*Endpoint{},
		bindings: map[string]Binding{},
		held:     map[Number]bool{},
		links:    map[string]uint32{},
		byIndex:  map[uint32]Number{},
		byName:   map[string]string{},
		far:      map[uint32]*farEnd{},
		late:     newLate(),
		addrs:    map[[16]byte]*address{},

		suggested: map[Number]string{},
	}
}

// Hold returns the number of the version e, the same for equal ones, and keeps
// it until Drop, however often it is asked for.
func (t *Table) Hold(e Endpoint) Number {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.intern(e)
	t.held[n] = true
	return n
}

// Drop ends what Hold began.
func (t *Table) Drop(n Number) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.held, n)
}

// intern returns a number that is the caller's to note before it unlocks.
func (t *Table) intern(e Endpoint) Number { return Number(t.versions.Number(e.key(), e)) }

// At returns the version with number n, which the caller must not change. A
// number that stands for nothing is Unknown.
func (t *Table) At(n Number) *Endpoint {
	if e := t.versions.At(uint32(n)); e != nil {
		return e
	}
	return t.versions.At(uint32(Unknown))
}

// Len is above all Numbers.
func (t *Table) Len() int { return t.versions.Len() }

// Epoch changes before a Number is given to another version: see package intern.
func (t *Table) Epoch() uint64 { return t.versions.Epoch() }

// Grown tells whether it is time for a Release.
func (t *Table) Grown() bool { return t.versions.Grown() }

// Release forgets the versions that the table does not need any more, unless
// used says that somebody else does. Nobody may be between asking for a Number
// and telling used of it.
func (t *Table) Release(used func(Number) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	needed := make(map[Number]bool, len(t.byIndex)+len(t.bindings))
	for _, n := range t.byIndex {
		needed[n] = true
	}
	for _, a := range t.addrs {
		for i := range a.pods {
			needed[a.pods[i].number] = true
		}
	}
	for n := range t.late.open {
		needed[n] = true
	}
	for n := range t.suggested {
		needed[n] = true
	}
	t.versions.Release(func(v uint32) bool {
		n := Number(v)
		return needed[n] || t.held[n] || used(n)
	})
}

// Set says that from time at on, b holds for the endpoint that the source calls
// key. What was said of key before ends then, except that addresses it still
// has go on under the new version. Time at may lie in the past: while another had
// an address too, it is known to be neither's.
func (t *Table) Set(key string, b Binding, at int64) {
	t.change(func() []string { return t.set(key, b, at) })
}

func (t *Table) set(key string, b Binding, at int64) (affected []string) {
	t.forget(at)
	old := t.bindings[key]
	if b.Local && t.stays(old, b) {
		b.Interface = old.Interface
	}
	for _, a := range old.Addresses {
		switch {
		case !slices.Contains(b.Addresses, a):
			t.vacate(key, []netip.Addr{a}, at)
		case !b.Leaving:
			t.end(key, []netip.Addr{a}, at)
		}
	}
	if old.Interface != b.Interface {
		t.unbind(key, old.Interface)
	}
	t.bindings[key] = b
	if b.Interface != "" {
		affected = append(affected, t.byName[b.Interface])
		t.byName[b.Interface] = key
	}
	n := t.bind(b)
	t.suggest(key, n)
	if !t.left(b) {
		t.begin(key, b.Addresses, n, at)
	}
	if b.Leaving {
		t.doubt(key, b.Addresses, at)
	}
	if b.Local && b.Interface == "" {
		affected = append(affected, t.matchAny(b.Addresses)...)
	}
	if !b.suggested {
		t.complete(key, t.bind(t.bindings[key]))
	}
	return append(affected, key)
}

// Remove says that the endpoint that the source calls key ended at time at.
func (t *Table) Remove(key string, at int64) {
	t.change(func() []string { return t.remove(key, at) })
}

func (t *Table) remove(key string, at int64) []string {
	t.forget(at)
	b := t.bindings[key]
	delete(t.bindings, key)
	t.unsuggest(key)
	t.vacate(key, b.Addresses, at)
	if b.Local {
		t.spend(key, b.Interface)
	} else {
		t.unbind(key, b.Interface)
	}
	return []string{key}
}

// Local returns who is behind an interface, Unknown if it is not one that leads
// to an endpoint.
func (t *Table) Local(index uint32) Number {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.byIndex[index]
}

// Remote returns who had the address at a time: an endpoint, a node, this host,
// and otherwise World. An address that several endpoints claim at that time is
// Unknown, and so is one that may be told of later: see Await.
func (t *Table) Remote(a netip.Addr, at int64) Number {
	_, remote := t.Ends(0, a, at)
	return remote
}

// Ends is Local of an interface and Remote of an address at once.
func (t *Table) Ends(index uint32, a netip.Addr, at int64) (local, remote Number) {
	t.mu.RLock()
	local, remote = t.byIndex[index], t.remote(a, at)
	unnamed := t.late.unnamed[index]
	t.mu.RUnlock()
	if remote == awaited || unnamed {
		t.mu.Lock()
		defer t.mu.Unlock()
		local, remote = t.endsLate(index, a, at)
	}
	return local, remote
}

// String names the endpoint for logs and tests: namespace/pod, a reserved
// label, or its identity.
func (e *Endpoint) String() string {
	switch {
	case e.Pod != "":
		return e.Namespace + "/" + e.Pod
	case len(e.Workloads) > 0:
		return fmt.Sprintf("%s/%s(%s)", e.Namespace, e.Workloads[0].Name, e.Workloads[0].Kind)
	case len(e.Labels) > 0:
		return e.Labels[0]
	}
	return fmt.Sprintf("identity %d", e.Identity)
}
