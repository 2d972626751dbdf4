// Package drop knows why and where packets were dropped. A node has few such
// places, and few packets are dropped: so a flow's record holds the number of
// its [Drop] and not what is in it.
package drop

import "github.com/fovea-obs/fovea/agent/intern"

// None is the number of no drop.
const None = 0

// Drop is why and where a packet was dropped.
type Drop struct {
	// Reason is the kernel's enum skb_drop_reason, 0 where it gives none.
	Reason uint32
	// Location is the kernel address at which the packet was freed.
	Location uint64
}

// Table numbers drops. Its methods are safe for concurrent use.
type Table struct{ *intern.Set[Drop, Drop] }

// NewTable returns a table with no drops.
func NewTable() *Table { return &Table{intern.New[Drop](Drop{})} }

// Number returns the number of a drop, the same for equal ones. It is valid
// until a Release that does not keep it.
func (t *Table) Number(d Drop) uint32 { return t.Set.Number(d, d) }

// At returns the drop with number n; it is empty for None and for a number that
// stands for nothing.
func (t *Table) At(n uint32) Drop {
	if d := t.Set.At(n); d != nil {
		return *d
	}
	return Drop{}
}
