package endpoint

import (
	"fmt"
	"net/netip"
	"testing"
)

// unused is for Release: nobody else needs a number.
func unused(Number) bool { return false }

func pod(name string) Endpoint { return ForPod("prod", "shop", name, nil, nil) }

// forgetAll has the table forget what ended before now, and the interfaces that
// went.
func forgetAll(t *Table, now int64) {
	for i := range uint32(rememberLinks + 1) {
		t.LinkDown(1_000_000 + i)
	}
	t.Remove("nobody", now+remember)
}

// TestReleaseKeeps has what needs a version, and what ends that.
func TestReleaseKeeps(t *testing.T) {
	a := netip.MustParseAddr("10.0.0.7")
	for name, tt := range map[string]struct {
		begin func(*Table) Number
		end   func(*Table)
	}{
		"an interface": {
			func(table *Table) Number {
				table.Set("web", Binding{Endpoint: pod("web"), Interface: "veth7"}, 1)
				table.LinkUp(7, "veth7")
				return table.Local(7)
			},
			func(table *Table) { table.Remove("web", 2) },
		},
		"an interface of nobody": {
			func(table *Table) Number { table.LinkUp(7, "veth7"); return table.Local(7) },
			func(table *Table) { table.LinkDown(7) },
		},
		"an interface that went": {
			func(table *Table) Number {
				table.Set("web", Binding{Endpoint: pod("web"), Interface: "veth7"}, 1)
				table.LinkUp(7, "veth7")
				table.LinkDown(7)
				table.Remove("web", 2)
				return table.Local(7)
			},
			func(*Table) {},
		},
		"an interface that another has now": {
			func(table *Table) Number {
				table.Set("web", Binding{Endpoint: pod("web"), Interface: "veth7"}, 1)
				table.LinkUp(7, "veth7")
				return table.Local(7)
			},
			func(table *Table) { table.LinkUp(7, "veth8") },
		},
		"an address": {
			func(table *Table) Number {
				table.Set("web", Binding{Endpoint: pod("web"), Addresses: []netip.Addr{a}}, 1)
				return table.Remote(a, 1)
			},
			func(table *Table) { table.Remove("web", 2) },
		},
		"an address that ended": {
			func(table *Table) Number {
				table.Set("web", Binding{Endpoint: pod("web"), Addresses: []netip.Addr{a}}, 1)
				table.Set("web", Binding{Endpoint: pod("www"), Addresses: []netip.Addr{a}}, 5)
				return table.Remote(a, 4)
			},
			func(*Table) {},
		},
		"one of two addresses": {
			func(table *Table) Number {
				b := Binding{Endpoint: pod("web"), Addresses: addrsOf("10.0.0.7", "fd00::7")}
				table.Set("web", b, 1)
				b.Addresses = b.Addresses[:1]
				table.Set("web", b, 1)
				forgetAll(table, 1)
				return table.Remote(a, 1)
			},
			func(table *Table) { table.Remove("web", 2) },
		},
		"somebody who holds it": {
			func(table *Table) Number { table.Hold(pod("web")); return table.Hold(pod("web")) },
			func(table *Table) { table.Drop(table.Hold(pod("web"))) },
		},
		"an address, of one that was held": {
			func(table *Table) Number {
				table.Set("web", Binding{Endpoint: pod("web"), Addresses: []netip.Addr{a}}, 1)
				table.Drop(table.Hold(pod("web")))
				return table.Remote(a, 1)
			},
			func(table *Table) { table.Remove("web", 2) },
		},
		"one who holds it, of an address that ended": {
			func(table *Table) Number {
				table.Set("web", Binding{Endpoint: pod("web"), Addresses: []netip.Addr{a}}, 1)
				n := table.Hold(pod("web"))
				table.Remove("web", 2)
				forgetAll(table, 2)
				return n
			},
			func(table *Table) { table.Drop(table.Hold(pod("web"))) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			table := NewTable("prod")
			n := tt.begin(table)
			e := table.At(n)
			if n < 4 || e == table.At(Unknown) {
				t.Fatalf("number %d is %v to begin with", n, e)
			}
			for range 2 {
				if table.Release(unused); table.At(n) != e {
					t.Fatalf("%v became %v", e, table.At(n))
				}
			}
			tt.end(table)
			forgetAll(table, 10)
			table.Release(func(asked Number) bool { return asked == n })
			if table.At(n) != e {
				t.Errorf("%v became %v, but is used", e, table.At(n))
			}
			if table.Release(unused); table.At(n) != table.At(Unknown) {
				t.Errorf("%v is not released", table.At(n))
			}
		})
	}
}

// TestReleaseOfWaiting has a pod whose interface is not there yet: its version is
// nobody's, and made when the interface comes.
func TestReleaseOfWaiting(t *testing.T) {
	table := NewTable("prod")
	table.Set("web", Binding{Endpoint: pod("web"), Interface: "veth7"}, 1)
	table.Release(unused)
	other := table.Hold(pod("db"))
	table.LinkUp(7, "veth7")
	if got := table.At(table.Local(7)); got.Pod != "web" || got.ID != 7 {
		t.Errorf("behind the interface is %v with ID %d", got, got.ID)
	}
	if got := table.At(other); got.Pod != "db" {
		t.Errorf("the other one is %v", got)
	}
}

func TestReleaseReserved(t *testing.T) {
	table := NewTable("prod")
	table.Release(func(n Number) bool { t.Errorf("asked for %v", table.At(n)); return false })
	for _, n := range []Number{Unknown, World, Host, RemoteNode} {
		if got := table.At(n).Labels; len(got) != 1 {
			t.Errorf("number %d has labels %q", n, got)
		}
	}
}

// TestChurn has many pods come and go, and holds that what the table keeps does
// not grow with them.
func TestChurn(t *testing.T) {
	const pods, second, alive = 100_000, int64(1e9), 50
	table := NewTable("prod")
	releases := 0
	for i := range pods {
		at := int64(i) * second
		key, iface, index := fmt.Sprint("pod-", i), fmt.Sprint("veth", i), uint32(i+1)
		a := netip.AddrFrom4([4]byte{10, byte(i >> 14), byte(i >> 7 & 127), byte(i&127) + 1})
		// Some interfaces are there before the pod is told, some after.
		if i%2 == 0 {
			table.LinkUp(index, iface)
		}
		table.Set(key, Binding{Endpoint: pod(key), Interface: iface, Addresses: []netip.Addr{a}}, at)
		table.LinkUp(index, iface)
		if got := table.At(table.Local(index)); got.Pod != key || table.At(table.Remote(a, at)) != got {
			t.Fatalf("%s is %v, and %v by its address", key, got, table.At(table.Remote(a, at)))
		}
		if old := i - alive; old >= 0 {
			table.LinkDown(uint32(old + 1))
			table.Remove(fmt.Sprint("pod-", old), at)
		}
		if table.Grown() {
			releases++
			table.Release(unused)
		}
	}
	// The pods of the last minute and the interfaces that are remembered have up
	// to three versions each; twice that before it is time to release.
	const most = 2 * 3 * (alive + rememberLinks + 60)
	if table.Len() > most || releases == 0 {
		t.Errorf("%d versions after %d releases, want at most %d", table.Len(), releases, most)
	}
	for name, n := range map[string]int{
		"bindings": len(table.bindings), "links": len(table.links), "names": len(table.byName),
		"held": len(table.held), "here": len(table.here),
		"interfaces": len(table.byIndex) - rememberLinks, "gone": len(table.gone) - rememberLinks,
		"addresses": len(table.addrs) - 61, "endings": len(table.ended) - 61,
	} {
		if n > alive+1 {
			t.Errorf("%d %s more than remembered, want at most %d", n, name, alive)
		}
	}
}

// TestLinkDown has many interfaces come and go: who was behind the last ones is
// known.
func TestLinkDown(t *testing.T) {
	const total, alive = 4 * rememberLinks, 10
	table := NewTable("prod")
	for i := range uint32(total + alive) {
		if i < total {
			table.LinkUp(i, fmt.Sprint("veth", i))
		}
		if i < alive {
			continue
		}
		table.LinkDown(i - alive)
		// The datapath may tell it twice.
		if i%100 == 0 {
			table.LinkDown(i - alive)
		}
	}
	known := 0
	for i := range uint32(total) {
		n := table.Local(i)
		if n != Unknown && table.At(n).ID != i {
			t.Fatalf("behind %d was %v with ID %d", i, table.At(n), table.At(n).ID)
		}
		if n != Unknown {
			known++
			continue
		}
		if i >= total-rememberLinks*9/10 {
			t.Fatalf("who was behind %d is forgotten", i)
		}
	}
	if known > rememberLinks || len(table.byIndex) != known || len(table.links) > 0 || len(table.gone) > rememberLinks {
		t.Errorf("%d of %d interfaces known, %d by name, %d gone", known, len(table.byIndex), len(table.links), len(table.gone))
	}
}

// TestLinkUpAgain holds that an interface is not forgotten because one with its
// index had gone.
func TestLinkUpAgain(t *testing.T) {
	table := NewTable("prod")
	table.Set("web", Binding{Endpoint: pod("web"), Interface: "veth7"}, 1)
	for range 3 {
		table.LinkUp(7, "veth7")
		table.LinkDown(7)
	}
	table.LinkUp(7, "veth7")
	forgetAll(table, 1)
	if got := table.At(table.Local(7)); got.Pod != "web" {
		t.Errorf("behind the interface is %v", got)
	}
}
