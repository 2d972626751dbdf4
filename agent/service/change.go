package service

import (
	"slices"
	"sync"
)

// Change is that a frontend came, is another service's, or went.
type Change struct {
	// ID tells the frontends of a Table apart, and is not given again when one
	// went.
	ID       uint32
	Frontend Frontend
	// Name is the service's whose frontend it is or, if it is Gone, was.
	Name Name
	Gone bool
}

// changes tells watchers what differs between all that is said and what was
// before.
type changes struct {
	watchers []func(Change)
	// mu is held through a Replace and while the watchers are told of it, always
	// before the table's, so that they are told in order and may ask it.
	mu sync.Mutex
	// known is what the watchers were told, last the last ID.
	known map[Frontend]known
	last  uint32
}

type known struct {
	id   uint32
	name Name
}

// tell tells first what went, then what came or changed.
func (c *changes) tell(all map[Frontend]Name) {
	if len(c.watchers) == 0 {
		return
	}
	var gone, here []Change
	for f, k := range c.known {
		if _, ok := all[f]; !ok {
			delete(c.known, f)
			gone = append(gone, Change{k.id, f, k.name, true})
		}
	}
	for f, name := range all {
		if k, ok := c.known[f]; !ok || k.name != name {
			here = append(here, Change{k.id, f, name, false})
		}
	}
	slices.SortFunc(gone, inOrder)
	slices.SortFunc(here, inOrder)
	for i := range here {
		h := &here[i]
		if h.ID == 0 {
			c.last++
			h.ID = c.last
		}
		c.known[h.Frontend] = known{h.ID, h.Name}
	}
	for _, change := range slices.Concat(gone, here) {
		for _, tell := range c.watchers {
			tell(change)
		}
	}
}

func inOrder(a, b Change) int { return compare(a.Frontend, b.Frontend) }
