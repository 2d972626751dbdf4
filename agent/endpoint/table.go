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
	// addrs has all that is known of an address, in its 16-byte form: one
	// look-up a flow. Entries that say nothing any more are removed.
	addrs map[[16]byte]*address
}

// address is what is known of an address.
type address struct {
	// pods are the times in which it led to a binding.
	pods []interval
	// node is Host or RemoteNode if a node list has it, else Unknown; own is
	// set if this node has it by itself.
	node Number
	own  bool
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
	t.end(key, at)
	t.bindings[key] = b
	if b.Interface != "" {
		t.byName[b.Interface] = key
	}
	n := t.bind(key, b)
	for _, a := range b.Addresses {
		known := t.address(a)
		known.pods = append(prune(known.pods, at), interval{at, forever, key, n})
	}
}

// address returns what is known of a, to be changed.
func (t *Table) address(a netip.Addr) *address {
	known, ok := t.addrs[a.As16()]
	if !ok {
		known = &address{}
		t.addrs[a.As16()] = known
	}
	return known
}

// tidy removes the entries that say nothing.
func (t *Table) tidy() {
	for key, a := range t.addrs {
		if len(a.pods) == 0 && a.node == Unknown && !a.own {
			delete(t.addrs, key)
		}
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
		known := t.address(a)
		known.pods = prune(known.pods, at)
		for i := range known.pods {
			if known.pods[i].key == key && known.pods[i].end == forever {
				known.pods[i].end = at
			}
		}
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
		known := t.address(a)
		for i := range known.pods {
			if known.pods[i].key == key && known.pods[i].end == forever {
				known.pods[i].number = n
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
	for _, a := range t.addrs {
		a.node = Unknown
	}
	for _, n := range nodes {
		number := RemoteNode
		if n.Name == self {
			number = Host
		}
		for _, a := range n.Addresses {
			t.address(a).node = number
		}
	}
	t.tidy()
}

// SetHostAddresses says which addresses this node has by itself.
func (t *Table) SetHostAddresses(addrs []netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, a := range t.addrs {
		a.own = false
	}
	for _, a := range addrs {
		t.address(a).own = true
	}
	t.tidy()
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

func (t *Table) remote(a netip.Addr, at int64) Number {
	known, ok := t.addrs[a.As16()]
	if !ok {
		return World
	}
	found, claims := World, 0
	for i := range known.pods {
		if p := &known.pods[i]; p.start <= at && at < p.end {
			found = p.number
			claims++
		}
	}
	switch {
	case claims == 1:
		return found
	case claims > 1:
		return Unknown
	case known.own:
		return Host
	case known.node != Unknown:
		return known.node
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
