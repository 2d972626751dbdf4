package encode

const (
	// A cache has so many slots, as powers of 2.
	minBits, maxBits = 5, 10
	// ways is how many slots a key may have, one after the other.
	ways = 4
	// spread is 2^64 over the golden ratio: products with it have their best
	// bits on top, and keys in a row lie evenly.
	spread = 0x9e3779b97f4a7c15
)

// cache keeps values by key: no more than 2^maxBits, so that it is bounded
// and a key that finds no room takes another's. It grows with the keys that it
// is asked for. Its zero value is empty.
type cache[V any] struct {
	// slots has 2^bits that can be a key's first, and a few more.
	slots []slot[V]
	bits  uint8
	// claimed counts the keys that were not found since the last void or growth.
	claimed int
	// generation is that of slots that are not void: never 0 if there are any.
	generation uint32
}

type slot[V any] struct {
	key        uint64
	generation uint32
	value      V
}

func (s *slot[V]) holds(key uint64, generation uint32) bool {
	return s.key == key && s.generation == generation
}

// first is the index of a key's first slot.
func (c *cache[V]) first(key uint64) uint64 { return key * spread >> (64 - c.bits) }

// find returns the value of a key, or nil. It may be used until the next claim.
func (c *cache[V]) find(key uint64) *V {
	i := c.first(key)
	if i < uint64(len(c.slots)) && c.slots[i].holds(key, c.generation) {
		return &c.slots[i].value
	}
	return c.findBehind(key)
}

func (c *cache[V]) findBehind(key uint64) *V {
	if c.slots == nil {
		return nil
	}
	first := c.first(key)
	for i := first + 1; i < first+ways; i++ {
		if c.slots[i].holds(key, c.generation) {
			return &c.slots[i].value
		}
	}
	return nil
}

// claim returns where to put the value of a key that was not found. What lies
// there is void, but its memory can be used.
func (c *cache[V]) claim(key uint64) *V {
	if c.claimed++; 2*c.claimed > len(c.slots) && c.bits < maxBits {
		c.grow()
	}
	s := c.room(key)
	s.key, s.generation = key, c.generation
	return &s.value
}

// room returns a void slot for a key if there is one, and otherwise its first.
func (c *cache[V]) room(key uint64) *slot[V] {
	first := c.first(key)
	for i := first; i < first+ways; i++ {
		if c.slots[i].generation != c.generation {
			return &c.slots[i]
		}
	}
	return &c.slots[first]
}

func (c *cache[V]) grow() {
	old := c.slots
	if old == nil {
		c.generation, c.bits = 1, minBits
	} else {
		c.bits++
	}
	c.slots = make([]slot[V], 1<<c.bits+ways-1)
	c.claimed = 0
	for i := range old {
		if old[i].generation == c.generation {
			*c.room(old[i].key) = old[i]
		}
	}
}

// void forgets all values.
func (c *cache[V]) void() {
	c.claimed = 0
	if c.generation++; c.generation == 0 {
		c.slots, c.bits = nil, 0
	}
}
