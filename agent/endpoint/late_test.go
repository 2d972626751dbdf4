package endpoint

import (
	"net/netip"
	"testing"
	"time"
)

// TestManyUnknown asks for more addresses than anybody waits for, as a scan of the
// pods' range does: the table stays small, and forgets them in time.
func TestManyUnknown(t *testing.T) {
	table := NewTable("prod")
	table.Await(5 * time.Second)
	table.SetNodes("node1", []Node{{Name: "node2", Pods: []netip.Prefix{netip.MustParsePrefix("fd00::/64")}}})
	address := func(i int) netip.Addr {
		a := netip.MustParseAddr("fd00::").As16()
		a[14], a[15] = byte(i>>8), byte(i)
		return netip.AddrFrom16(a)
	}
	for i := range 4 * maxLate {
		table.Remote(address(i), int64(i))
	}
	if l := &table.late; len(l.open) > maxLate || len(l.queue) > maxLate || len(l.addrs) > 2*maxLate {
		t.Errorf("%d are waited for, %d in the queue, %d remembered", len(l.open), len(l.queue), len(l.addrs))
	}
	if n := table.Remote(address(4*maxLate), 4*maxLate); n != Unknown {
		t.Errorf("one too many is %d", n)
	}
	after := 6 * time.Second.Nanoseconds()
	if n := table.Remote(address(0), after); n != Unknown {
		t.Errorf("an address is waited for twice: %d", n)
	}
	if n := table.Remote(address(4*maxLate+1), after); n == Unknown || len(table.late.open) != 1 {
		t.Errorf("later, a new one is %d, and %d are waited for", n, len(table.late.open))
	}
	table.Release(func(Number) bool { return false })
	if n := table.versions.Len(); n > 2*maxLate {
		t.Errorf("room for %d versions", n)
	}
}
