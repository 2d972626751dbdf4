package endpoint

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
)

// remember is how long, in nanoseconds, an address is known after it ended:
// longer than any flow waits between the kernel and its look-up.
const remember = int64(60e9)

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
	// links are the interfaces that exist, by index; byIndex and byName say
	// who is behind them.
	links   map[uint32]string
	byIndex map[uint32]Number
	byName  map[string]string // interface to the binding's key
	addrs   map[netip.Addr][]interval
	nodes   map[netip.Addr]Number
	host    map[netip.Addr]struct{}
}

// interval is a time [start, end) in which an address led to a binding.
type interval struct {
	start, end int64
	key        string
	number     Number
}

const forever = int64(1<<63 - 1)

// NewTable returns a table of the named cluster that knows the reserved
// endpoints only.
func NewTable(cluster string) *Table {
	t := &Table{
		cluster:  cluster,
		numbers:  map[string]Number{},
		bindings: map[string]Binding{},
		links:    map[uint32]string{},
		byIndex:  map[uint32]Number{},
		byName:   map[string]string{},
		addrs:    map[netip.Addr][]interval{},
		nodes:    map[netip.Addr]Number{},
		host:     map[netip.Addr]struct{}{},
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
	t.end(key, at)
	t.bindings[key] = b
	if b.Interface != "" {
		t.byName[b.Interface] = key
	}
	n := t.bind(key, b)
	for _, a := range b.Addresses {
		t.addrs[a] = append(prune(t.addrs[a], at), interval{at, forever, key, n})
	}
}

// Remove says that the endpoint that the source calls key ended at time at.
func (t *Table) Remove(key string, at int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end(key, at)
}

func (t *Table) end(key string, at int64) {
	b, ok := t.bindings[key]
	if !ok {
		return
	}
	delete(t.bindings, key)
	for _, a := range b.Addresses {
		list := prune(t.addrs[a], at)
		for i := range list {
			if list[i].key == key && list[i].end == forever {
				list[i].end = at
			}
		}
		t.addrs[a] = list
	}
	if t.byName[b.Interface] != key {
		return
	}
	delete(t.byName, b.Interface)
	for index, name := range t.links {
		if name == b.Interface {
			t.byIndex[index] = t.unmanaged(index)
		}
	}
}

// bind interns b's endpoint, with the index of its interface as its ID where
// that exists, and puts it behind the interface.
func (t *Table) bind(key string, b Binding) Number {
	for index, name := range t.links {
		if name == b.Interface && t.byName[name] == key {
			b.Endpoint.ID = index
			n := t.intern(b.Endpoint)
			t.byIndex[index] = n
			return n
		}
	}
	return t.intern(b.Endpoint)
}

func (t *Table) unmanaged(index uint32) Number {
	return t.intern(Endpoint{
		ID: index, Identity: identityUnmanaged, Cluster: t.cluster,
		Labels: []string{"reserved:unmanaged"},
	})
}

// prune drops intervals that ended too long ago to be asked for.
func prune(list []interval, at int64) []interval {
	keep := list[:0]
	for _, i := range list {
		if i.end == forever || i.end > at-remember {
			keep = append(keep, i)
		}
	}
	return keep
}

// LinkUp says that the interface exists, leads to an endpoint of this node and
// has this name.
func (t *Table) LinkUp(index uint32, name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.links[index] = name
	t.byIndex[index] = t.unmanaged(index)
	key, ok := t.byName[name]
	if !ok {
		return
	}
	b := t.bindings[key]
	n := t.bind(key, b)
	for _, a := range b.Addresses {
		list := t.addrs[a]
		for i := range list {
			if list[i].key == key && list[i].end == forever {
				list[i].number = n
			}
		}
	}
}

// LinkDown says that the interface is gone. Its endpoint is known for as long
// as no other interface has the index.
func (t *Table) LinkDown(index uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.links, index)
}

// SetNodes says which nodes there are; self is the name of this one.
func (t *Table) SetNodes(self string, nodes []Node) {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.nodes)
	for _, n := range nodes {
		number := RemoteNode
		if n.Name == self {
			number = Host
		}
		for _, a := range n.Addresses {
			t.nodes[a] = number
		}
	}
}

// SetHostAddresses says which addresses this node has by itself.
func (t *Table) SetHostAddresses(addrs []netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.host)
	for _, a := range addrs {
		t.host[a] = struct{}{}
	}
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
	found, claims := World, 0
	for _, i := range t.addrs[a] {
		if i.start <= at && at < i.end {
			found = i.number
			claims++
		}
	}
	switch {
	case claims == 1:
		return found
	case claims > 1:
		return Unknown
	}
	if _, ok := t.host[a]; ok {
		return Host
	}
	if n, ok := t.nodes[a]; ok {
		return n
	}
	return World
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
