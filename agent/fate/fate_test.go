package fate

import (
	"net/netip"
	"testing"
)

func TestTable(t *testing.T) {
	table := NewTable()
	if got := table.At(None); got != (Fate{}) || table.Len() != 1 {
		t.Errorf("none is %+v, of %d", got, table.Len())
	}
	fates := []Fate{
		{Reason: 2, Location: 0xffffffff81000010}, {Reason: 2, Location: 0xffffffff81000020},
		{Reason: 3, Location: 0xffffffff81000010}, {Location: 1}, {Reason: 1}, {},
		{Source: netip.MustParseAddr("192.0.2.1")}, {Source: netip.MustParseAddr("::ffff:192.0.2.1")},
	}
	var numbers []uint32
	for i, f := range fates {
		n := table.Number(f)
		// What is empty is a fate too, of which nothing is known.
		if int(n) != i+1 {
			t.Errorf("%+v is number %d, want %d", f, n, i+1)
		}
		numbers = append(numbers, n)
	}
	for i, f := range fates {
		if again := table.Number(f); again != numbers[i] {
			t.Errorf("%+v is number %d, and was %d", f, again, numbers[i])
		}
		if got := table.At(numbers[i]); got != f {
			t.Errorf("number %d is %+v, want %+v", numbers[i], got, f)
		}
	}
	for _, n := range []uint32{uint32(len(fates)) + 1, 1<<32 - 1} {
		if got := table.At(n); got != (Fate{}) {
			t.Errorf("number %d is %+v, want nothing", n, got)
		}
	}
}

func TestRelease(t *testing.T) {
	table := NewTable()
	kept := table.Number(Fate{Reason: 2, Location: 10})
	gone := table.Number(Fate{Reason: 3, Location: 20})
	table.Release(func(n uint32) bool { return n == kept })
	if got := table.At(kept); got != (Fate{Reason: 2, Location: 10}) {
		t.Errorf("the kept one is %+v", got)
	}
	if got := table.At(gone); got != (Fate{}) {
		t.Errorf("the released one is %+v", got)
	}
	if n := table.Number(Fate{Reason: 4, Location: 30}); n != gone || table.At(n) != (Fate{Reason: 4, Location: 30}) {
		t.Errorf("a new one is number %d, %+v, want %d", n, table.At(n), gone)
	}
	if n := table.Number(Fate{Reason: 2, Location: 10}); n != kept {
		t.Errorf("the kept one is number %d, and was %d", n, kept)
	}
}
