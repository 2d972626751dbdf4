package encode

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestCache holds a cache against what was put into it: a value that is found is
// the key's own.
func TestCache(t *testing.T) {
	for name, keys := range map[string]uint64{"few": 10, "some": 600, "too many": 5000, "all": math.MaxUint64} {
		var c cache[uint64]
		r := rand.New(rand.NewPCG(1, 2))
		found := 0
		const turns = 50_000
		for i := range turns {
			if i == turns/2 {
				c.void()
			}
			key := r.Uint64N(keys)
			v := c.find(key)
			switch {
			case v == nil:
				v = c.claim(key)
				*v = key + uint64(2*i/turns)
			case *v != key+uint64(2*i/turns):
				t.Fatalf("%s: found %d for %d", name, *v, key)
			default:
				found++
			}
			if w := c.find(key); w != v {
				t.Fatalf("%s: %d is not found again", name, key)
			}
		}
		if limit := 1<<maxBits + ways - 1; len(c.slots) > limit {
			t.Errorf("%s: %d slots", name, len(c.slots))
		}
		if keys <= 600 && found < turns-4*int(keys) {
			t.Errorf("%s: found %d times of %d", name, found, turns)
		}
	}
}

// TestCacheWraps voids a cache as often as there are generations.
func TestCacheWraps(t *testing.T) {
	var c cache[int]
	c.void()
	*c.claim(1) = 2
	c.generation = math.MaxUint32
	*c.claim(3) = 4
	c.void()
	for _, key := range []uint64{0, 1, 3} {
		if v := c.find(key); v != nil {
			t.Errorf("found %d for %d", *v, key)
		}
	}
	*c.claim(1) = 5
	if v := c.find(1); v == nil || *v != 5 {
		t.Error("a new value is not found")
	}
}

// TestCacheOfNumbersInARow keeps nearly all, up to its size.
func TestCacheOfNumbersInARow(t *testing.T) {
	const keys = 1<<maxBits - 50
	var c cache[uint64]
	for range 10 {
		for key := range uint64(keys) {
			if c.find(key) == nil {
				*c.claim(key) = key
			}
		}
	}
	kept := 0
	for key := range uint64(keys) {
		if c.find(key) != nil {
			kept++
		}
	}
	if kept < keys*95/100 {
		t.Errorf("kept %d of %d", kept, keys)
	}
}
