// Package fate knows what became of packets that were not simply passed on: why
// and where they were dropped, which address they went on with, or what policies
// say of them. A node has few such places, addresses and verdicts, and few packets
// meet them: so a flow's record holds the number of its [Fate] and not what is in it.
package fate

import (
	"net/netip"

	"github.com/fovea-obs/fovea/agent/engine"
	"github.com/fovea-obs/fovea/agent/intern"
	"github.com/fovea-obs/fovea/agent/policy"
)

// None is the number of no fate.
const None = 0

// Fate is what became of packets. What does not apply is the zero value.
type Fate struct {
	// Reason is the kernel's enum skb_drop_reason, 0 where it gives none.
	Reason uint32
	// Location is the kernel address at which the packet was freed.
	Location uint64
	// TableFull tells that the kernel's table of connections had no room for that of
	// the packet.
	TableFull bool
	// Source is the address that the node put in the place of the source's.
	Source netip.Addr
	// Policy is the number of what policies say of the packets' connection, if that
	// is part of its fate: Egress tells that the decision at the source's end is,
	// Ingress that the one at the destination's is. One that is not is another
	// node's to make.
	Policy          policy.Number
	Egress, Ingress bool
	// Said is what the engine said of packets that it dropped, in the place of what
	// Policy stands for.
	Said engine.Word
}

// Judged tells whether policies decide the fate.
func (f *Fate) Judged() bool { return f.Egress || f.Ingress }

// Table numbers fates. Its methods are safe for concurrent use.
type Table struct{ *intern.Set[Fate, Fate] }

// NewTable returns a table with no fates.
func NewTable() *Table { return &Table{intern.New[Fate](Fate{})} }

// Number returns the number of a fate, the same for equal ones. It is valid
// until a Release that does not keep it.
func (t *Table) Number(f Fate) uint32 { return t.Set.Number(f, f) }

// At returns the fate with number n; it is empty for None and for a number that
// stands for nothing.
func (t *Table) At(n uint32) Fate {
	if f := t.Set.At(n); f != nil {
		return *f
	}
	return Fate{}
}
