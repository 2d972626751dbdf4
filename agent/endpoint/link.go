package endpoint

import (
	"maps"
	"slices"
)

// rememberLinks is of how many interfaces that are gone it is known who was
// behind them. Flows of an interface are told within moments after it went.
const rememberLinks = 1024

// LinkUp says that the interface exists, leads to an endpoint of this node and
// has this name, which no other interface has any more.
func (t *Table) LinkUp(index uint32, name string) {
	t.change(func() []string {
		before := t.linkName(index)
		affected := t.removeLink(index)
		if before != "" && before != name {
			t.renameLink(before, name)
		}
		return append(affected, t.linkUp(index, name))
	})
}

// linkUp returns the key of the binding that the interface leads to, if any.
func (t *Table) linkUp(index uint32, name string) string {
	t.gone = slices.DeleteFunc(t.gone, func(i uint32) bool { return i == index })
	t.links[name] = index
	key, ok := t.byName[name]
	if !ok {
		t.byIndex[index] = t.unmanaged(index)
		if t.late.await > 0 {
			t.late.unnamed[index] = true
		}
		return ""
	}
	b := t.bindings[key]
	t.renumber(key, b.Addresses, t.bind(b))
	return key
}

// LinkDown says that the interface is gone. Its endpoint is known for a while, as
// long as no other interface has the index.
func (t *Table) LinkDown(index uint32) {
	t.change(func() []string {
		affected := t.removeLink(index)
		delete(t.late.unnamed, index)
		t.gone = append(t.gone, index)
		if len(t.gone) > rememberLinks {
			delete(t.byIndex, t.gone[0])
			t.gone = t.gone[1:]
		}
		return affected
	})
}

// removeLink returns the keys of the bindings that the interface led to.
func (t *Table) removeLink(index uint32) (affected []string) {
	maps.DeleteFunc(t.links, func(name string, i uint32) bool {
		if i == index {
			affected = append(affected, t.byName[name])
		}
		return i == index
	})
	return affected
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
