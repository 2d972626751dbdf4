package merge

import "math"

// never is the key of a source that has nothing.
const never = math.MaxInt64

// tree finds the source with the least key, and of those with the same the first. Its
// zero value is of no sources.
type tree struct {
	keys []int64
	// winners are the sources that won where two parts of the tree met, from 1 on; the
	// sources themselves begin at half of it. What is none has nothing.
	winners []int32
}

// grow adds a source, which has nothing, and returns its number.
func (t *tree) grow() int {
	t.keys = append(t.keys, never)
	n := len(t.keys)
	if half := len(t.winners) / 2; n > half {
		half = max(1, 2*half)
		t.winners = make([]int32, 2*half)
		for i := range half {
			t.winners[half+i] = int32(i)
		}
		for i := half - 1; i > 0; i-- {
			t.play(i)
		}
	}
	return n - 1
}

func (t *tree) key(source int32) int64 {
	if int(source) >= len(t.keys) {
		return never
	}
	return t.keys[source]
}

// play lets the two parts meet, and returns whether another won than before.
func (t *tree) play(at int) bool {
	a, b := t.winners[2*at], t.winners[2*at+1]
	if t.key(b) < t.key(a) {
		a = b
	}
	changed := t.winners[at] != a
	t.winners[at] = a
	return changed
}

// set changes a source's key.
func (t *tree) set(source int, key int64) {
	t.keys[source] = key
	for at := (len(t.winners)/2 + source) / 2; at > 0; at /= 2 {
		if !t.play(at) && t.winners[at] != int32(source) {
			return
		}
	}
}

// least returns the source with the least key, and the key: never if all have nothing.
func (t *tree) least() (source int, key int64) {
	if len(t.winners) == 0 {
		return 0, never
	}
	s := t.winners[1]
	return int(s), t.key(s)
}
