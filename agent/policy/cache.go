package policy

import (
	"encoding/binary"
	"net/netip"
)

// A cache has so many sets of so many verdicts, more than a busy node has
// connections that policies tell apart: 1.8 MiB.
const (
	cacheSets = 4096
	setSize   = 4
)

// cache remembers verdicts. Those whose keys have the same hash share a set, which
// the oldest leaves for a new one.
type cache [][setSize]entry

type entry struct {
	key    key
	number Number
}

// key is all that a verdict depends on.
type key struct {
	source, destination           *member
	sourceState, destinationState uint32
	// sourceAddr is set if policies of the destination have blocks, destinationAddr
	// if those of the source do.
	sourceAddr, destinationAddr netip.Addr
	// port is the first of those that policies do not tell from it, or itself if it
	// has a name.
	port     uint16
	protocol uint8
	named    bool
}

// get returns the verdict for a key, or what make says is it.
func (c cache) get(k *key, make func() Number) Number {
	set := &c[k.hash()%cacheSets]
	for i := range set {
		if set[i].key == *k {
			return set[i].number
		}
	}
	n := make()
	copy(set[1:], set[:])
	set[0] = entry{*k, n}
	return n
}

// Odd numbers of which about half the bits are set.
const (
	mix1 = 0x9e3779b97f4a7c15
	mix2 = 0xc2b2ae3d27d4eb4f
)

func (k *key) hash() uint64 {
	h := (uint64(k.source.number)<<32 | uint64(k.destination.number)) * mix1
	h = mix(h ^ uint64(k.port)<<8 ^ uint64(k.protocol))
	for _, a := range [...]*netip.Addr{&k.sourceAddr, &k.destinationAddr} {
		if a.IsValid() {
			b := a.As16()
			h = mix(h ^ binary.LittleEndian.Uint64(b[:8]))
			h = mix(h ^ binary.LittleEndian.Uint64(b[8:]))
		}
	}
	return h ^ h>>32
}

func mix(h uint64) uint64 { return (h ^ h>>29) * mix2 }
