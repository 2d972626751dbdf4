package endpoint

// Change is that an endpoint of this node came, changed or went. One is here
// while it has a binding and the interface that leads to it exists.
type Change struct {
	// Before is its version until now, nil if it came; After the one from now
	// on, nil if it went. Both are of the same pod and interface.
	Before, After *Endpoint
}

// change runs do, which returns the keys of the bindings that may have changed,
// and tells the watchers what did.
func (t *Table) change(do func() []string) {
	t.changing.Lock()
	defer t.changing.Unlock()
	for _, c := range t.changes(do) {
		for _, tell := range t.watchers {
			tell(c)
		}
	}
}

func (t *Table) changes(do func() []string) (all []Change) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, key := range do() {
		before, after := t.here[key], t.present(key)
		switch {
		case before == after:
			continue
		case before != nil && after != nil && !before.same(after):
			all = append(all, Change{Before: before}, Change{After: after})
		default:
			all = append(all, Change{before, after})
		}
		if t.here[key] = after; after == nil {
			delete(t.here, key)
		}
	}
	return all
}

// present returns the version of the binding with this key, nil if it or its
// interface is not there.
func (t *Table) present(key string) *Endpoint {
	name := t.bindings[key].Interface
	if name == "" || t.byName[name] != key {
		return nil
	}
	index, ok := t.links[name]
	if !ok {
		return nil
	}
	return t.At(t.byIndex[index])
}

// same tells whether both are versions of one pod behind one interface.
func (e *Endpoint) same(other *Endpoint) bool {
	return e.ID == other.ID && e.Namespace == other.Namespace && e.Pod == other.Pod
}
