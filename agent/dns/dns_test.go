package dns

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func addr(s string) netip.Addr {
	if s == "" {
		return netip.Addr{}
	}
	return netip.MustParseAddr(s)
}

func TestLookup(t *testing.T) {
	table := NewTable()
	given := []string{"www.example.com", "api.example.com", "www.example.com"}
	table.Replace(map[netip.Addr][]string{
		addr("203.0.113.7"):        given,
		addr("203.0.113.8"):        {"cdn.example.com"},
		addr("::ffff:203.0.113.9"): {"mapped.example.com"},
		addr("2001:db8::1"):        {"six.example.com"},
		addr("203.0.113.10"):       {},
		addr("203.0.113.11"):       nil,
		addr("203.0.113.12"):       {"api.example.com", "www.example.com"},
		addr("::"):                 {"blocked.example.com"},
		addr("::ffff:0.0.0.0"):     {"blocked.example.com"},
		addr(""):                   {"nobody.example.com"},
	})
	if want := []string{"www.example.com", "api.example.com", "www.example.com"}; !slices.Equal(given, want) {
		t.Errorf("the list that was given became %q", given)
	}
	two := []string{"api.example.com", "www.example.com"}
	for name, tt := range map[string]struct {
		source, destination string
		want                Names
	}{
		"nobody":                 {"", "", Names{}},
		"unknown":                {"192.0.2.1", "192.0.2.2", Names{}},
		"source":                 {"203.0.113.7", "10.1.0.2", Names{Source: two}},
		"destination":            {"10.1.0.2", "203.0.113.7", Names{Destination: two}},
		"destination alone":      {"", "203.0.113.7", Names{Destination: two}},
		"both":                   {"203.0.113.7", "203.0.113.8", Names{two, []string{"cdn.example.com"}}},
		"both, the same":         {"203.0.113.7", "203.0.113.7", Names{two, two}},
		"IPv6":                   {"", "2001:db8::1", Names{Destination: []string{"six.example.com"}}},
		"mapped, asked for IPv4": {"", "203.0.113.9", Names{Destination: []string{"mapped.example.com"}}},
		"IPv4, asked for mapped": {"", "::ffff:203.0.113.8", Names{Destination: []string{"cdn.example.com"}}},
		"unspecified":            {"::", "0.0.0.0", Names{}},
		"no names":               {"203.0.113.10", "203.0.113.11", Names{}},
	} {
		t.Run(name, func(t *testing.T) {
			n := table.Lookup(addr(tt.source), addr(tt.destination))
			if diff := cmp.Diff(tt.want, table.At(n)); diff != "" {
				t.Error(diff)
			}
			if none := len(tt.want.Source)+len(tt.want.Destination) == 0; none != (n == None) {
				t.Errorf("number %d", n)
			}
			if again := table.Lookup(addr(tt.source), addr(tt.destination)); again != n {
				t.Errorf("number %d became %d", n, again)
			}
		})
	}
	// Equal names have a number, not addresses.
	if a, b := table.Lookup(addr(""), addr("203.0.113.7")), table.Lookup(addr("10.1.0.3"), addr("203.0.113.12")); a != b {
		t.Errorf("the same names are numbers %d and %d", a, b)
	}
	for _, n := range []uint32{None, uint32(table.Len()), 1<<32 - 1} {
		if diff := cmp.Diff(Names{}, table.At(n)); diff != "" {
			t.Errorf("number %d: %s", n, diff)
		}
	}
}

// TestReplace says one thing after another: what a number stands for stays.
func TestReplace(t *testing.T) {
	table := NewTable()
	a := addr("203.0.113.7")
	numbers := map[string]uint32{"": None}
	for i, name := range []string{"a", "b", "", "a", "c", "b", ""} {
		names := map[netip.Addr][]string{}
		if name != "" {
			names[a] = []string{name}
		}
		table.Replace(names)
		n := table.Lookup(a, netip.Addr{})
		if before, ok := numbers[name]; ok && before != n {
			t.Errorf("step %d: %q is number %d, and was %d", i, name, n, before)
		}
		numbers[name] = n
	}
	for name, n := range numbers {
		if got := fmt.Sprint(table.At(n).Source); got != "["+name+"]" {
			t.Errorf("number %d is %s, want %s", n, got, name)
		}
	}
	if table.Len() != len(numbers) {
		t.Errorf("%d numbers, want %d", table.Len(), len(numbers))
	}
}

func TestRelease(t *testing.T) {
	table := NewTable()
	a, b := addr("203.0.113.7"), addr("203.0.113.8")
	table.Replace(map[netip.Addr][]string{a: {"a.example.com"}, b: {"b.example.com"}})
	kept, gone := table.Lookup(a, b), table.Lookup(b, a)
	table.Release(func(n uint32) bool { return n == kept })
	if got := table.At(kept); got.Source[0] != "a.example.com" {
		t.Errorf("what was kept is %v", got)
	}
	if diff := cmp.Diff(Names{}, table.At(gone)); diff != "" {
		t.Error(diff)
	}
	// The addresses keep their names, which are given a number again.
	if n := table.Lookup(a, a); n != gone || table.At(n).Destination[0] != "a.example.com" {
		t.Errorf("other names are number %d, %v, want %d", n, table.At(n), gone)
	}
	if n := table.Lookup(a, b); n != kept {
		t.Errorf("what was kept is number %d, and was %d", n, kept)
	}
}

// TestConcurrent has readers ask while names change: an address has its own only,
// of one time.
func TestConcurrent(t *testing.T) {
	const rounds, addresses = 2000, 8
	table := NewTable()
	address := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}) }
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				i := n % addresses
				names := table.At(table.Lookup(address(i), address((i+1)%addresses)))
				for side, list := range [][]string{names.Source, names.Destination} {
					var owner, round int
					if len(list) == 0 {
						continue
					}
					if _, err := fmt.Sscanf(list[0], "a%d.r%d.example.com", &owner, &round); err != nil || owner != (i+side)%addresses {
						t.Errorf("address %d is %q", (i+side)%addresses, list)
						return
					}
				}
			}
		})
	}
	for round := range rounds {
		all := map[netip.Addr][]string{}
		for i := range addresses {
			if (i+round)%3 > 0 {
				all[address(i)] = []string{fmt.Sprintf("a%d.r%d.example.com", i, round%10)}
			}
		}
		table.Replace(all)
	}
	close(done)
	readers.Wait()
}
