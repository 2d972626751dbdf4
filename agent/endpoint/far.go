package endpoint

import (
	"net/netip"
	"slices"
)

// farEnd is the far end of an interface that leads to an endpoint.
type farEnd struct {
	addresses []netip.Addr
	mac       [6]byte // zero if it is not known
	// spent says that a source named the endpoint and took it back, as it does
	// for a pod that is deleted, while the interface is still there: it is no
	// other's until it goes.
	spent bool
}

// SetFarAddresses says which addresses the far end of an interface has from time
// at on, none if it is gone. Until then they are those of the endpoint behind the
// interface, whatever else claims them.
func (t *Table) SetFarAddresses(index uint32, addrs []netip.Addr, at int64) {
	t.change(func() []string {
		t.forget(at)
		end := t.far[index]
		if end == nil {
			end = &farEnd{}
			t.far[index] = end
		}
		for _, a := range end.addresses {
			if !slices.Contains(addrs, a) {
				t.endClaim(index, a, at)
			}
		}
		for _, a := range addrs {
			if !slices.Contains(end.addresses, a) {
				known := t.address(a)
				known.far = append(known.far, holding{at, forever, index})
			}
		}
		if end.addresses = slices.Clone(addrs); len(addrs) == 0 {
			delete(t.far, index)
			t.leave(index, at)
		}
		return t.match(index)
	})
}

// SetFarMAC says which hardware address the far end of an interface has. It is known
// until SetFarAddresses says that the far end is gone.
func (t *Table) SetFarMAC(index uint32, mac [6]byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	end := t.far[index]
	if end == nil {
		end = &farEnd{}
		t.far[index] = end
	}
	end.mac = mac
}

// IsForOther tells whether a frame that went out of an interface, to a hardware and
// an IP address, was for another than the endpoint behind it: a bridge that does not
// know yet where an endpoint is sends its frames to all.
func (t *Table) IsForOther(index uint32, mac [6]byte, a netip.Addr) bool {
	const group = 1 // the bit of addresses that are not one station's (IEEE 802)
	if mac[0]&group != 0 {
		return false
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	end := t.far[index]
	return end != nil && end.mac != [6]byte{} && end.mac != mac && !slices.Contains(end.addresses, a.Unmap())
}

func (t *Table) endClaim(index uint32, a netip.Addr, at int64) {
	known := t.address(a)
	for i := range known.far {
		if c := &known.far[i]; c.index == index && c.end == forever {
			c.end = at
			t.ended = append(t.ended, ending{a.As16(), at})
		}
	}
}

// leave ends the addresses of the local endpoint behind an interface that is
// gone.
func (t *Table) leave(index uint32, at int64) {
	key := t.byName[t.linkName(index)]
	if b := t.bindings[key]; b.Local {
		t.end(key, b.Addresses, at)
	}
}

func (t *Table) linkName(index uint32) string {
	for name, i := range t.links {
		if i == index {
			return name
		}
	}
	return ""
}

// renameLink says that an interface, by whose far end a local endpoint was found,
// is called otherwise.
func (t *Table) renameLink(before, name string) {
	key := t.byName[before]
	b := t.bindings[key]
	if !b.Local {
		return
	}
	b.Interface = name
	delete(t.byName, before)
	t.bindings[key], t.byName[name] = b, key
}

// stays tells whether a local endpoint is behind the same interface as before.
// Which that is was found by its addresses; it is found anew only if they are
// others than those that the interface has.
func (t *Table) stays(old, b Binding) bool {
	if !old.Local || old.Interface == "" {
		return false
	}
	if b.Leaving || slices.Equal(old.Addresses, b.Addresses) {
		return true
	}
	end := t.far[t.links[old.Interface]]
	return end != nil && slices.ContainsFunc(b.Addresses, func(a netip.Addr) bool { return slices.Contains(end.addresses, a) })
}

// left tells whether the interface of a local endpoint is gone, and its
// addresses with it.
func (t *Table) left(b Binding) bool {
	_, ok := t.links[b.Interface]
	return b.Local && b.Interface != "" && !ok
}

// spend takes back what a source said of a local endpoint: its interface is still
// its own.
func (t *Table) spend(key, name string) {
	if name == "" || t.byName[name] != key {
		return
	}
	delete(t.byName, name)
	if end := t.far[t.links[name]]; end != nil {
		end.spent = true
	}
}

// matchAny matches the interfaces whose far ends have one of the addresses.
func (t *Table) matchAny(addrs []netip.Addr) (affected []string) {
	for _, a := range addrs {
		for _, c := range t.address(a).far {
			if c.end == forever {
				affected = append(affected, t.match(c.index)...)
			}
		}
	}
	return affected
}

// match finds the local endpoint behind an interface by the addresses of its far
// end, and returns its key. Nobody is, if two claim them.
func (t *Table) match(index uint32) []string {
	end, name := t.far[index], t.linkName(index)
	if end == nil || end.spent || name == "" || t.byName[name] != "" {
		return nil
	}
	found := ""
	for _, a := range end.addresses {
		for i := range t.address(a).pods {
			p := &t.address(a).pods[i]
			if b := t.bindings[p.key]; p.end != forever || !b.Local || b.Interface != "" || p.key == found {
				continue
			}
			if found != "" {
				return nil
			}
			found = p.key
		}
	}
	if found == "" {
		return nil
	}
	b := t.bindings[found]
	b.Interface = name
	t.bindings[found], t.byName[name] = b, found
	before := t.byIndex[index]
	n := t.bind(b)
	t.renumber(found, b.Addresses, n)
	t.nameLink(index, before, n)
	return []string{found}
}
