package mac

import "testing"

func TestTable(t *testing.T) {
	table := NewTable()
	pair := func(i int) Pair {
		return Pair{Source: [6]byte{2, 0, byte(i >> 16), byte(i >> 8), byte(i)}, Destination: [6]byte{2, 1}}
	}
	if n := table.Number(Pair{}); n != None || table.At(None) != (Pair{}) {
		t.Errorf("no addresses are number %d, %v", n, table.At(None))
	}
	one, two := table.Number(pair(1)), table.Number(pair(2))
	if one == None || two == None || one == two || table.Number(pair(1)) != one {
		t.Errorf("numbers %d and %d, and again %d", one, two, table.Number(pair(1)))
	}
	if table.At(one) != pair(1) || table.At(two) != pair(2) || table.At(1<<31) != (Pair{}) {
		t.Errorf("%v, %v, %v", table.At(one), table.At(two), table.At(1<<31))
	}
	for i := range 2 * MaxPairs {
		table.Number(pair(3 + i))
	}
	if n := table.Len(); n > MaxPairs+1 {
		t.Errorf("%d pairs have numbers", n)
	}
	if n := table.Number(pair(1 << 20)); n != None {
		t.Errorf("one too many is number %d", n)
	}
	table.Release(func(n uint32) bool { return n == one })
	if table.At(one) != pair(1) || table.At(two) != (Pair{}) || table.Number(pair(1)) != one {
		t.Errorf("after a release: %v, %v", table.At(one), table.At(two))
	}
}
