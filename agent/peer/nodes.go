package peer

import (
	"maps"
	"sync"
)

// Nodes are the nodes of the cluster, by the names that Hubble has for them, and
// the addresses of their agents. Its methods are safe for concurrent use.
type Nodes struct {
	self, address string
	// guessed tells that a source knows better than address.
	guessed bool

	mu sync.Mutex
	// all is never changed once it is here.
	all map[string]string
	// changed is closed when all is replaced.
	changed chan struct{}
}

// NewNodes returns nodes of which this one alone is known. Name is as of
// nodename.Name, address host:port. If it is guessed, what [Nodes.Set] says of this
// node counts more.
func NewNodes(name, address string, guessed bool) *Nodes {
	return &Nodes{
		self: name, address: address, guessed: guessed,
		all: map[string]string{name: address}, changed: make(chan struct{}),
	}
}

// Set says which nodes there are, by name, and the addresses of their agents, in
// place of all said before. This one is there also if it is not among them.
func (n *Nodes) Set(addresses map[string]string) {
	all := maps.Clone(addresses)
	if all == nil {
		all = map[string]string{}
	}
	if _, told := all[n.self]; !told || !n.guessed {
		all[n.self] = n.address
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if maps.Equal(n.all, all) {
		return
	}
	n.all = all
	close(n.changed)
	n.changed = make(chan struct{})
}

// All returns the address of each node's agent, by the node's name, which the
// caller must not change, and a channel that is closed when that is no longer so.
func (n *Nodes) All() (addresses map[string]string, changed <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.all, n.changed
}
