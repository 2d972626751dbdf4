package policy

// Set says what a policy is, in place of what was said of it before. It is the
// table's from then on.
func (t *Table) Set(p Policy) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.change(p.Ref, &p)
}

// Remove says that a policy is no more.
func (t *Table) Remove(r Ref) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.change(r, nil)
}

// Replace says which policies of a kind there are, in place of all said before.
// Endpoints are met anew, each as it is asked for.
func (t *Table) Replace(k Kind, all []Policy) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.members = nil
	clear(t.cache)
	there := make(map[Ref]bool, len(all))
	for i := range all {
		there[all[i].Ref] = all[i].Kind == k
	}
	for r := range t.policies {
		if r.Kind == k && !there[r] {
			t.change(r, nil)
		}
	}
	for i := range all {
		if all[i].Kind == k {
			t.change(all[i].Ref, &all[i])
		}
	}
}

// change puts p, nil for none, in the place of the policy with this name, and has
// the members know.
func (t *Table) change(r Ref, p *Policy) {
	old := t.policies[r]
	// First, so that terms that stay keep their ids.
	var c *compiled
	if p != nil {
		c = t.terms.compile(p)
	}
	for _, m := range t.members {
		if m == nil {
			continue
		}
		if old != nil {
			m.remove(old)
		}
		if c != nil {
			m.add(c)
		}
	}
	applied := [directions]bool{t.applying[0] > 0, t.applying[1] > 0}
	if old != nil {
		t.count(old, -1)
		delete(t.policies, r)
		t.unlist(old)
		t.forget(t.terms.drop(old))
	}
	if c != nil {
		t.count(c, 1)
		t.policies[r] = c
		t.list(c)
	}
	for d, was := range applied {
		if was != (t.applying[d] > 0) {
			// What is said of ends that are not known depends on it.
			clear(t.cache)
		}
	}
}

func (t *Table) count(c *compiled, times int) {
	for d := range c.parts {
		if c.parts[d].applies {
			t.applying[d] += times
		}
	}
	c.ports(func(p Port) { t.ports.add(p, times) })
}

func (t *Table) list(c *compiled) {
	of := c.subject.namespace
	if t.byNamespace[of] == nil {
		t.byNamespace[of] = map[Ref]*compiled{}
	}
	t.byNamespace[of][c.Ref] = c
}

func (t *Table) unlist(c *compiled) {
	of := c.subject.namespace
	if delete(t.byNamespace[of], c.Ref); len(t.byNamespace[of]) == 0 {
		delete(t.byNamespace, of)
	}
}

// fewTerms is how many are taken out of what members answered one by one: it is
// quicker to ask again than to look for more.
const fewTerms = 64

// forget has the ids of terms given again.
func (t *Table) forget(gone []*term) {
	for _, m := range t.members {
		switch {
		case m == nil:
		case len(gone) > fewTerms:
			clear(m.answers)
		default:
			for _, g := range gone {
				m.forget(g)
			}
		}
	}
	for _, g := range gone {
		t.terms.forget(g.id)
	}
}
