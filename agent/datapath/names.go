package datapath

import "sync"

// maxNames is how many names of interfaces are kept before those that are gone
// are forgotten.
const maxNames = 16384

// interfaceNames are the names of the node's interfaces by index.
type interfaceNames struct {
	mu    sync.RWMutex
	names map[uint32]string
	gone  map[uint32]struct{}
}

func newInterfaceNames() *interfaceNames {
	return &interfaceNames{names: map[uint32]string{}, gone: map[uint32]struct{}{}}
}

func (n *interfaceNames) set(index uint32, name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.names[index] = name
	delete(n.gone, index)
}

// remove keeps the name for flows that are read later.
func (n *interfaceNames) remove(index uint32) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.gone[index] = struct{}{}
	if len(n.names) < maxNames {
		return
	}
	for i := range n.gone {
		delete(n.names, i)
	}
	clear(n.gone)
}

func (n *interfaceNames) get(index uint32) string {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.names[index]
}
