package endpoint

import (
	"net/netip"
	"slices"
)

// remember is how long, in nanoseconds, an address is known after it ended:
// longer than any flow waits between the kernel and its look-up.
const remember = int64(60e9)

// address is what is known of an address.
type address struct {
	// far are the times in which the far end of an interface had it, pods those
	// in which it led to a binding.
	far  []holding
	pods []interval
	// first is where pods lie while there is one: next to what leads to it.
	first [1]interval
	// node is Host or RemoteNode if a node list has it, else Unknown; own is
	// set if this node has it by itself.
	node Number
	own  bool
	// apiServer is set if an API server of the cluster is there.
	apiServer bool
}

// interval is a time [start, end) in which an address led to a binding. From doubt
// on it may have led to another already.
type interval struct {
	start, doubt, end int64
	key               string
	number            Number
}

// holding is a time [start, end) in which the far end of an interface had an
// address.
type holding struct {
	start, end int64
	index      uint32
}

const forever = int64(1<<63 - 1)

// ending is that an interval of an address ended.
type ending struct {
	address [16]byte
	at      int64
}

// open returns the binding's interval that has not ended, or nil.
func (a *address) open(key string) *interval {
	for i := range a.pods {
		if p := &a.pods[i]; p.key == key && p.end == forever {
			return p
		}
	}
	return nil
}

// says tells whether anything is known.
func (a *address) says() bool {
	return len(a.far) > 0 || len(a.pods) > 0 || a.node != Unknown || a.own || a.apiServer
}

// address returns what is known of a, to be changed.
func (t *Table) address(a netip.Addr) *address {
	known, ok := t.addrs[a.As16()]
	if !ok {
		known = &address{}
		known.pods = known.first[:0]
		t.addrs[a.As16()] = known
	}
	return known
}

// begin says that the addresses lead to the binding with this key from now on.
// One that is listed twice is no second claim.
func (t *Table) begin(key string, addrs []netip.Addr, n Number, at int64) {
	for _, a := range addrs {
		known := t.address(a)
		if known.open(key) != nil {
			continue
		}
		known.pods = append(known.pods, interval{at, forever, forever, key, n})
		t.late.learn(a)
		t.name(a, n, at)
	}
}

// doubt says that from now on the addresses may no longer lead to the binding with
// this key.
func (t *Table) doubt(key string, addrs []netip.Addr, at int64) {
	for _, a := range addrs {
		if p := t.address(a).open(key); p != nil {
			p.doubt = min(p.doubt, at)
		}
	}
}

// vacate is end where nobody knows to the moment when that was: a pod that is
// deleted by force, or has come to its end, may talk or have talked a little
// longer or shorter than the source says.
func (t *Table) vacate(key string, addrs []netip.Addr, at int64) {
	for _, a := range addrs {
		if p := t.address(a).open(key); p != nil && p.doubt == forever {
			p.doubt, p.end = at, at+t.late.await
			t.ended = append(t.ended, ending{a.As16(), p.end})
		}
	}
	t.end(key, addrs, at)
}

// end says that the addresses no longer lead to the binding with this key.
func (t *Table) end(key string, addrs []netip.Addr, at int64) {
	for _, a := range addrs {
		if p := t.address(a).open(key); p != nil {
			p.end = at
			t.ended = append(t.ended, ending{a.As16(), at})
		}
	}
}

// renumber says that the binding with this key has another number.
func (t *Table) renumber(key string, addrs []netip.Addr, n Number) {
	t.suggest(key, n)
	for _, a := range addrs {
		if p := t.address(a).open(key); p != nil {
			p.number = n
		}
	}
}

// forget drops the intervals that ended too long ago to be asked for.
func (t *Table) forget(at int64) {
	for len(t.ended) > 0 && t.ended[0].at <= at-remember {
		key := t.ended[0].address
		t.ended = t.ended[1:]
		known, ok := t.addrs[key]
		if !ok {
			continue
		}
		known.pods = slices.DeleteFunc(known.pods, func(p interval) bool { return p.end <= at-remember })
		known.far = slices.DeleteFunc(known.far, func(h holding) bool { return h.end <= at-remember })
		if !known.says() {
			delete(t.addrs, key)
		}
	}
}

// tidy removes the entries that say nothing.
func (t *Table) tidy() {
	for key, a := range t.addrs {
		if !a.says() {
			delete(t.addrs, key)
		}
	}
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
		for _, p := range n.Pods {
			t.late.add(p.Masked())
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

func (t *Table) remote(a netip.Addr, at int64) Number {
	known, ok := t.addrs[a.As16()]
	if !ok {
		return t.nobody(a)
	}
	// What an interface leads to is known; what a source says may be late.
	found, claims := t.behind(known, at)
	if claims == 0 {
		found, claims = known.pod(at)
	}
	switch {
	case claims == 1:
		return found
	case claims > 1:
		return Unknown
	case known.apiServer:
		return t.apiServers[known.host()]
	case known.host() == World:
		return t.nobody(a)
	}
	return known.host()
}

// host is who has the address if no pod does.
func (a *address) host() Number {
	switch {
	case a.own:
		return Host
	case a.node != Unknown:
		return a.node
	}
	return World
}

// behind returns who is behind the interfaces whose far ends had the address at a
// time, and how many these are.
func (t *Table) behind(a *address, at int64) (found Number, claims int) {
	for i := range a.far {
		if c := &a.far[i]; c.start <= at && at < c.end {
			found = t.byIndex[c.index]
			claims++
		}
	}
	return found, claims
}

// pod returns the binding that the address led to at a time, and how many claim
// that: with doubt there is another that is not known yet.
func (a *address) pod(at int64) (found Number, claims int) {
	for i := range a.pods {
		if p := &a.pods[i]; p.start <= at && at < p.end {
			found = p.number
			claims++
			if at >= p.doubt {
				claims++
			}
		}
	}
	return found, claims
}
