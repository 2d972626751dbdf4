package endpoint

// Suggest is Set by a source that knows of an endpoint early, but not all of it.
// What Set says of the same key counts more: where it did so before nothing is
// changed, and once it does, those who hold a number of what was suggested see
// all of it.
func (t *Table) Suggest(key string, b Binding, at int64) {
	t.change(func() []string {
		if old, ok := t.bindings[key]; ok && !old.suggested {
			return nil
		}
		b.suggested = true
		return t.set(key, b, at)
	})
}

// Withdraw is Remove for what was suggested, and nothing for what was Set.
func (t *Table) Withdraw(key string, at int64) {
	t.change(func() []string {
		if !t.bindings[key].suggested {
			return nil
		}
		return t.remove(key, at)
	})
}

// suggest notes that the number is of the binding with this key, if that was
// suggested.
func (t *Table) suggest(key string, n Number) {
	if t.bindings[key].suggested {
		t.suggested[n] = key
	}
}

// complete says that the number n, of the binding with this key, has all that was
// suggested of it.
func (t *Table) complete(key string, n Number) {
	for early, k := range t.suggested {
		if k != key {
			continue
		}
		delete(t.suggested, early)
		if early != n {
			t.versions.Replace(uint32(early), *t.At(n))
		}
	}
}

// replace has a number of what was not known stand for what n does.
func (t *Table) replace(unknown, n Number) {
	t.versions.Replace(uint32(unknown), *t.At(n))
	if key, ok := t.suggested[n]; ok {
		t.suggested[unknown] = key
	}
}

// unsuggest forgets the numbers of what was suggested of a key.
func (t *Table) unsuggest(key string) {
	for n, k := range t.suggested {
		if k == key {
			delete(t.suggested, n)
		}
	}
}
