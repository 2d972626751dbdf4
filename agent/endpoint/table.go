package endpoint

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
)

// Binding says which interface and addresses lead to an endpoint.
type Binding struct {
	Endpoint Endpoint
	// Interface is the name of the node's interface that leads to the
	// endpoint, or empty if it is not known or on another node.
	Interface string
	Addresses []netip.Addr
}

// Node is a node of the cluster.
type Node struct {
	Name      string
	Addresses []netip.Addr
}

// Table answers who is behind an interface or an address. Its methods are safe
// for concurrent use. All times are in nanoseconds since 1970.
type Table struct {
	cluster string

	// versions are indexed by Number and only ever appended to: readers load
	// the slice, whose elements do not change.
	versions atomic.Pointer[[]*Endpoint]

	mu       sync.RWMutex
	numbers  map[string]Number
	bindings map[string]Binding
	// links are the indexes of the interfaces that exist, by name; byIndex and
	// byName say who is behind them.
	links   map[string]uint32
	byIndex map[uint32]Number
	byName  map[string]string // interface to the binding's key
	// addrs has all that is known of an address, in its 16-byte form: one
	// look-up a flow. Entries that say nothing any more are removed.
	addrs map[[16]byte]*address
	// ended are the addresses to look at again when they are forgotten.
	ended []ending
}

// NewTable returns a table of the named cluster that knows the reserved
// endpoints only.
func NewTable(cluster string) *Table {
	t := &Table{
		cluster:  cluster,
		numbers:  map[string]Number{},
		bindings: map[string]Binding{},
		links:    map[string]uint32{},
		byIndex:  map[uint32]Number{},
		byName:   map[string]string{},
		addrs:    map[[16]byte]*address{},
	}
	t.versions.Store(&[]*Endpoint{})
	for _, e := range []Endpoint{
		Unknown:    {Identity: identityUnknown, Labels: []string{"reserved:unknown"}},
		World:      {Identity: identityWorld, Labels: []string{"reserved:world"}},
		Host:       {Identity: identityHost, Cluster: cluster, Labels: []string{"reserved:host"}},
		RemoteNode: {Identity: identityRemoteNode, Cluster: cluster, Labels: []string{"reserved:remote-node"}},
	} {
		t.intern(e)
	}
	return t
}

// Intern returns the number of the version e, the same for equal ones.
func (t *Table) Intern(e Endpoint) Number {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.intern(e)
}

func (t *Table) intern(e Endpoint) Number {
	k := e.key()
	if n, ok := t.numbers[k]; ok {
		return n
	}
	old := *t.versions.Load()
	n := Number(len(old))
	versions := append(old, &e)
	t.versions.Store(&versions)
	t.numbers[k] = n
	return n
}

// At returns the version with number n, which the caller must not change. A
// number that the table never gave is Unknown.
func (t *Table) At(n Number) *Endpoint {
	v := *t.versions.Load()
	if int(n) >= len(v) {
		n = Unknown
	}
	return v[n]
}

// Len is the number of versions: all Numbers are below it.
func (t *Table) Len() int { return len(*t.versions.Load()) }

// Set says that from time at on, b holds for the endpoint that the source calls
// key. What was said of key before ends then, except that addresses it still
// has go on under the new version.
func (t *Table) Set(key string, b Binding, at int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(at)
	old := t.bindings[key]
	t.end(key, old.Addresses, at)
	if old.Interface != b.Interface {
		t.unbind(key, old.Interface)
	}
	t.bindings[key] = b
	if b.Interface != "" {
		t.byName[b.Interface] = key
	}
	t.begin(key, b.Addresses, t.bind(b), at)
}

// Remove says that the endpoint that the source calls key ended at time at.
func (t *Table) Remove(key string, at int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(at)
	b := t.bindings[key]
	delete(t.bindings, key)
	t.end(key, b.Addresses, at)
	t.unbind(key, b.Interface)
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
// Unknown.
func (t *Table) Remote(a netip.Addr, at int64) Number {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.remote(a, at)
}

// Ends is Local of an interface and Remote of an address at once.
func (t *Table) Ends(index uint32, a netip.Addr, at int64) (local, remote Number) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.byIndex[index], t.remote(a, at)
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
