// Package dns knows the names by which addresses are called.
package dns

import (
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/fovea-obs/fovea/agent/intern"
)

// None is the number of ends without names.
const None = 0

// Names are those of a flow's two ends. They are never changed once a Table has
// them.
type Names struct{ Source, Destination []string }

// Table maps addresses to names, and numbers the names of two ends. Its methods
// are safe for concurrent use.
type Table struct {
	*intern.Set[pair, Names]
	// names are those of each address, in its 16-byte form. It is not changed
	// once it is here.
	names atomic.Pointer[map[[16]byte]*addressed]
}

// addressed is the names of an address.
type addressed struct {
	list []string
	key  string
}

// pair is equal for equal Names.
type pair struct{ source, destination string }

// NewTable returns a table with no names.
func NewTable() *Table {
	t := &Table{Set: intern.New[pair](Names{})}
	t.names.Store(&map[[16]byte]*addressed{})
	return t
}

// Replace says which names addresses have, in place of all said before. The
// lists must not be changed any more. Unspecified addresses, which filters of
// DNS answer with, are nobody's and have none.
func (t *Table) Replace(all map[netip.Addr][]string) {
	names := make(map[[16]byte]*addressed, len(all))
	for a, list := range all {
		if len(list) == 0 || !a.IsValid() || a.Unmap().IsUnspecified() {
			continue
		}
		list = slices.Clone(list)
		slices.Sort(list)
		list = slices.Compact(list)
		names[a.As16()] = &addressed{list, strings.Join(list, "\n")}
	}
	t.names.Store(&names)
}

// Lookup returns the number of the names of two ends. An end that is not to be
// called by a name is the zero address. The number is valid until a Release that
// does not keep it.
func (t *Table) Lookup(source, destination netip.Addr) uint32 {
	names := *t.names.Load()
	if len(names) == 0 {
		return None
	}
	s, d := names[source.As16()], names[destination.As16()]
	switch {
	case s == nil && d == nil:
		return None
	case s == nil:
		return t.Number(pair{"", d.key}, Names{Destination: d.list})
	case d == nil:
		return t.Number(pair{s.key, ""}, Names{Source: s.list})
	}
	return t.Number(pair{s.key, d.key}, Names{s.list, d.list})
}

// At returns the names with number n; there are none for None and for a number
// that stands for nothing.
func (t *Table) At(n uint32) Names {
	if v := t.Set.At(n); v != nil {
		return *v
	}
	return Names{}
}
