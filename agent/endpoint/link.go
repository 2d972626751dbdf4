package endpoint

import "maps"

// LinkUp says that the interface exists, leads to an endpoint of this node and
// has this name, which no other interface has any more.
func (t *Table) LinkUp(index uint32, name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.removeLink(index)
	t.links[name] = index
	key, ok := t.byName[name]
	if !ok {
		t.byIndex[index] = t.unmanaged(index)
		return
	}
	b := t.bindings[key]
	t.renumber(key, b.Addresses, t.bind(b))
}

// LinkDown says that the interface is gone. Its endpoint is known for as long
// as no other interface has the index.
func (t *Table) LinkDown(index uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.removeLink(index)
}

func (t *Table) removeLink(index uint32) {
	maps.DeleteFunc(t.links, func(_ string, i uint32) bool { return i == index })
}

// bind interns b's endpoint, with the index of its interface as its ID where
// that exists, and puts it behind the interface.
func (t *Table) bind(b Binding) Number {
	index, ok := t.links[b.Interface]
	if !ok {
		return t.intern(b.Endpoint)
	}
	b.Endpoint.ID = index
	n := t.intern(b.Endpoint)
	t.byIndex[index] = n
	return n
}

// unbind says that the interface no longer leads to the binding with this key,
// if it still did.
func (t *Table) unbind(key, name string) {
	if name == "" || t.byName[name] != key {
		return
	}
	delete(t.byName, name)
	if index, ok := t.links[name]; ok {
		t.byIndex[index] = t.unmanaged(index)
	}
}

func (t *Table) unmanaged(index uint32) Number {
	return t.intern(Endpoint{
		ID: index, Identity: identityUnmanaged, Cluster: t.cluster,
		Labels: []string{"reserved:unmanaged"},
	})
}
