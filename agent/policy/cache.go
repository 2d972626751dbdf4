package policy

import (
	"encoding/binary"
	"net/netip"
)

// cacheSize is how many verdicts are remembered: a power of two, about as many as
// a busy node has connections that policies tell apart.
const cacheSize = 8192

// cache remembers verdicts. Two whose keys have the same hash take turns.
type cache []entry

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

// at is where the verdict for a key is, if it is there.
func (c cache) at(k *key) *entry { return &c[k.hash()%cacheSize] }

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
