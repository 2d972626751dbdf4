package intern

import (
	"sync"
	"sync/atomic"
)

// minGrowth is how many numbers are given before it is worth the while to look
// for those that can be released.
const minGrowth = 1024

// Set is values by number. At, Len and Epoch are for any goroutine and take no
// lock; Number and Release take the Set's own.
type Set[K comparable, V any] struct {
	// values are indexed by number. A slice that is published is not changed but
	// by its elements, and a longer one has all elements of those before it.
	values atomic.Pointer[[]atomic.Pointer[V]]
	epoch  atomic.Uint64
	grown  atomic.Bool

	mu sync.Mutex
	// fixed is how many numbers are never released.
	fixed   int
	numbers map[K]uint32
	keys    []K // by number
	free    []uint32
	// given counts the numbers given since the last Release, after which there
	// were kept.
	given, kept int
}

// New returns a set in which these values have the numbers from 0 on, for good.
// They have no keys: Number never returns theirs.
func New[K comparable, V any](fixed ...V) *Set[K, V] {
	s := &Set[K, V]{fixed: len(fixed), numbers: map[K]uint32{}, keys: make([]K, len(fixed))}
	values := make([]atomic.Pointer[V], len(fixed), max(2*len(fixed), 64))
	for i := range fixed {
		values[i].Store(&fixed[i])
	}
	s.values.Store(&values)
	return s
}

// Number returns the number of the value that key stands for. The first time, it
// stores v, which must not be changed any more.
//
// The caller sees to it that Release does not run before it has noted the number
// where Release is told of it.
func (s *Set[K, V]) Number(key K, v V) uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n, ok := s.numbers[key]; ok {
		return n
	}
	return s.add(key, v)
}

// NumberWithin is Number while there are fewer than so many keys; then one that is
// not there yet is not stored, and has number 0.
func (s *Set[K, V]) NumberWithin(most int, key K, v V) uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, ok := s.numbers[key]
	if !ok && len(s.numbers) < most {
		n = s.add(key, v)
	}
	return n
}

func (s *Set[K, V]) add(key K, v V) uint32 {
	n := s.next()
	(*s.values.Load())[n].Store(&v)
	s.numbers[key], s.keys[n] = n, key
	if s.given++; s.given >= max(minGrowth, s.kept) {
		s.grown.Store(true)
	}
	return n
}

// next returns a number that stands for nothing.
func (s *Set[K, V]) next() uint32 {
	if last := len(s.free) - 1; last >= 0 {
		n := s.free[last]
		s.free = s.free[:last]
		return n
	}
	old := *s.values.Load()
	n := len(old)
	if n == cap(old) {
		more := make([]atomic.Pointer[V], n, 2*n)
		for i := range old {
			more[i].Store(old[i].Load())
		}
		old = more
	}
	values := old[:n+1]
	s.values.Store(&values)
	var none K
	s.keys = append(s.keys, none)
	return uint32(n)
}

// At returns the value with number n, which the caller must not change, or nil
// if n stands for nothing.
func (s *Set[K, V]) At(n uint32) *V {
	v := *s.values.Load()
	if uint64(n) >= uint64(len(v)) {
		return nil
	}
	return v[n].Load()
}

// Len is above all numbers given. It does not shrink.
func (s *Set[K, V]) Len() int { return len(*s.values.Load()) }

// Epoch changes before a number is given to another value.
func (s *Set[K, V]) Epoch() uint64 { return s.epoch.Load() }

// Grown tells whether so many numbers were given since the last Release that it
// is time for the next.
func (s *Set[K, V]) Grown() bool { return s.grown.Load() }

// Release takes back the numbers for which keep is false, and returns how many
// it kept. It costs about as much as the numbers that were given since the last
// time did.
func (s *Set[K, V]) Release(keep func(n uint32) bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	values := *s.values.Load()
	var none K
	released := false
	for n := s.fixed; n < len(values); n++ {
		if values[n].Load() == nil || keep(uint32(n)) {
			continue
		}
		if !released {
			s.epoch.Add(1)
			released = true
		}
		values[n].Store(nil)
		delete(s.numbers, s.keys[n])
		s.keys[n] = none
		s.free = append(s.free, uint32(n))
	}
	s.kept, s.given = len(s.numbers), 0
	s.grown.Store(false)
	return s.kept
}

// Replace gives a number another value, for all who have it, and to nobody else
// from now on: it is asked for by no key any more. It is for a number whose value
// was not known yet.
func (s *Set[K, V]) Replace(n uint32, v V) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var none K
	delete(s.numbers, s.keys[n])
	s.keys[n] = none
	s.epoch.Add(1)
	(*s.values.Load())[n].Store(&v)
}
