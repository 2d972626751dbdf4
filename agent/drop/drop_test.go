package drop

import "testing"

func TestTable(t *testing.T) {
	table := NewTable()
	if got := table.At(None); got != (Drop{}) || table.Len() != 1 {
		t.Errorf("none is %+v, of %d", got, table.Len())
	}
	drops := []Drop{{2, 0xffffffff81000010}, {2, 0xffffffff81000020}, {3, 0xffffffff81000010}, {0, 1}, {1, 0}, {}}
	var numbers []uint32
	for i, d := range drops {
		n := table.Number(d)
		// What is empty is a drop too, of which nothing is known.
		if int(n) != i+1 {
			t.Errorf("%+v is number %d, want %d", d, n, i+1)
		}
		numbers = append(numbers, n)
	}
	for i, d := range drops {
		if again := table.Number(d); again != numbers[i] {
			t.Errorf("%+v is number %d, and was %d", d, again, numbers[i])
		}
		if got := table.At(numbers[i]); got != d {
			t.Errorf("number %d is %+v, want %+v", numbers[i], got, d)
		}
	}
	for _, n := range []uint32{uint32(len(drops)) + 1, 1<<32 - 1} {
		if got := table.At(n); got != (Drop{}) {
			t.Errorf("number %d is %+v, want nothing", n, got)
		}
	}
}

func TestRelease(t *testing.T) {
	table := NewTable()
	kept := table.Number(Drop{2, 10})
	gone := table.Number(Drop{3, 20})
	table.Release(func(n uint32) bool { return n == kept })
	if got := table.At(kept); got != (Drop{2, 10}) {
		t.Errorf("the kept one is %+v", got)
	}
	if got := table.At(gone); got != (Drop{}) {
		t.Errorf("the released one is %+v", got)
	}
	if n := table.Number(Drop{4, 30}); n != gone || table.At(n) != (Drop{4, 30}) {
		t.Errorf("a new one is number %d, %+v, want %d", n, table.At(n), gone)
	}
	if n := table.Number(Drop{2, 10}); n != kept {
		t.Errorf("the kept one is number %d, and was %d", n, kept)
	}
}
