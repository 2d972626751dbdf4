package service

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fovea-obs/fovea/agent/endpoint"
)

const (
	tcp  = 6
	udp  = 17
	sctp = 132
)

func frontend4(port uint16, protocol uint8) Frontend {
	return Frontend{netip.MustParseAddr("10.96.0.1"), port, protocol}
}

func newTable() *Table { return NewTable("prod", endpoint.NewTable("prod")) }

func TestLookup(t *testing.T) {
	table := newTable()
	all := map[Frontend]Name{
		frontend4(80, tcp):                                  {Namespace: "shop", Name: "web-tcp"},
		frontend4(80, udp):                                  {Namespace: "shop", Name: "web-udp"},
		frontend4(80, 0):                                    {Namespace: "shop", Name: "web"},
		frontend4(0, udp):                                   {Namespace: "shop", Name: "datagrams"},
		frontend4(0, 0):                                     {Namespace: "shop", Name: "all"},
		{netip.MustParseAddr("10.96.0.2"), 80, 0}:           {Namespace: "shop", Name: "web"},
		{netip.MustParseAddr("10.96.0.2"), 0, udp}:          {Namespace: "shop", Name: "datagrams"},
		{netip.MustParseAddr("fd00::1"), 443, tcp}:          {Namespace: "shop", Name: "six"},
		{netip.MustParseAddr("::ffff:10.96.0.3"), 443, tcp}: {Namespace: "shop", Name: "mapped"},
		{netip.MustParseAddr("10.96.0.4"), 443, 0}:          {Namespace: "shop", Name: "six"},
	}
	tests := map[string]struct {
		address  string
		port     uint16
		protocol uint8
		want     string
	}{
		"port and protocol":            {"10.96.0.1", 80, tcp, "web-tcp"},
		"the other protocol":           {"10.96.0.1", 80, udp, "web-udp"},
		"port of any protocol":         {"10.96.0.1", 80, sctp, "web"},
		"protocol of any port":         {"10.96.0.1", 53, udp, "datagrams"},
		"port before protocol":         {"10.96.0.2", 80, udp, "web"},
		"address alone":                {"10.96.0.1", 53, tcp, "all"},
		"no ports":                     {"10.96.0.1", 0, 1, "all"},
		"mapped, asked for IPv4":       {"::ffff:10.96.0.1", 80, tcp, "web-tcp"},
		"IPv4, asked for mapped":       {"10.96.0.3", 443, tcp, "mapped"},
		"IPv6":                         {"fd00::1", 443, tcp, "six"},
		"two addresses of one service": {"10.96.0.4", 443, udp, "six"},
		"another protocol":             {"fd00::1", 443, udp, ""},
		"another port":                 {"fd00::1", 80, tcp, ""},
		"another address":              {"fd00::2", 443, tcp, ""},
		"IPv4 in IPv6's last bytes":    {"::10.96.0.1", 80, tcp, ""},
	}
	// A map has no order: each time the frontends come in another one.
	for range 20 {
		table.Replace(all)
		for name, tt := range tests {
			got := table.At(table.Lookup(netip.MustParseAddr(tt.address), tt.port, tt.protocol))
			if got.Name != tt.want {
				t.Errorf("%s: got %q, want %q", name, got.Name, tt.want)
			}
		}
	}
	// None is a number too, and three services have two frontends.
	if want := 1 + len(all) - 3; table.Len() != want {
		t.Errorf("%d numbers, want %d", table.Len(), want)
	}
}

func TestNone(t *testing.T) {
	table := newTable()
	for _, n := range []Number{0, 1, 1<<32 - 1} {
		if s := table.At(n); *s != (Service{}) {
			t.Errorf("number %d is %+v, want nothing", n, s)
		}
	}
	if n := table.Lookup(netip.Addr{}, 0, 0); n != 0 {
		t.Errorf("no address is of service %d", n)
	}
	if table.Len() != 1 {
		t.Errorf("%d numbers, want that of none", table.Len())
	}
}

// TestReplace says one thing after another, and has what each address is then.
func TestReplace(t *testing.T) {
	web, db, none := Name{"shop", "web"}, Name{"shop", "db"}, Name{}
	renamed, elsewhere := Name{"shop", "www"}, Name{"test", "web"}
	a, b := frontend4(80, tcp), frontend4(81, tcp)
	table := newTable()
	numbers := map[Name]Number{none: 0}
	for i, all := range []map[Frontend]Name{
		{a: web}, {a: web, b: db}, {b: web}, {}, {a: db, b: db}, {a: renamed}, {a: elsewhere, b: web}, nil, {a: web, b: db},
	} {
		table.Replace(all)
		for _, f := range []Frontend{a, b} {
			n := table.Lookup(f.Address, f.Port, f.Protocol)
			if got := nameOf(t, table, n); got != all[f] {
				t.Errorf("after %d, %v is %+v, want %+v", i, f, got, all[f])
			}
			if before, ok := numbers[all[f]]; ok && before != n {
				t.Errorf("after %d, %+v is number %d, and was %d", i, all[f], n, before)
			}
			numbers[all[f]] = n
		}
	}
	for s, n := range numbers {
		if got := nameOf(t, table, n); got != s {
			t.Errorf("number %d is %+v, and was %+v", n, got, s)
		}
	}
	if table.Len() != len(numbers) {
		t.Errorf("%d numbers, want %d", table.Len(), len(numbers))
	}
}

// nameOf is the name of the service with number n, whose endpoint must be its own.
func nameOf(t *testing.T, table *Table, n Number) Name {
	t.Helper()
	s := table.At(n)
	if n != 0 {
		want := endpoint.ForService("prod", s.Namespace, s.Name)
		if diff := cmp.Diff(want, *table.endpoints.At(s.Endpoint)); diff != "" {
			t.Errorf("endpoint of service %d: %s", n, diff)
		}
	}
	return Name{s.Namespace, s.Name}
}

// TestRelease has services that are needed by their frontends or by others, and
// those of neither, with whose numbers others begin.
func TestRelease(t *testing.T) {
	table := newTable()
	held, used, gone := Name{"shop", "held"}, Name{"shop", "used"}, Name{"shop", "gone"}
	a, b, c := frontend4(80, tcp), frontend4(81, tcp), frontend4(82, tcp)
	table.Replace(map[Frontend]Name{a: held, b: used, c: gone})
	numbers := map[Name]Number{}
	for f, name := range map[Frontend]Name{a: held, b: used, c: gone} {
		numbers[name] = table.Lookup(f.Address, f.Port, f.Protocol)
	}
	table.Replace(map[Frontend]Name{a: held})
	before := table.Epoch()
	table.Release(func(n Number) bool { return n == numbers[used] })
	table.endpoints.Release(func(endpoint.Number) bool { return false })
	for _, name := range []Name{held, used} {
		if got := nameOf(t, table, numbers[name]); got != name {
			t.Errorf("%+v became %+v", name, got)
		}
	}
	if got := *table.At(numbers[gone]); got != (Service{}) || table.Epoch() == before {
		t.Errorf("%+v is still %+v, in epoch %d", gone, got, table.Epoch())
	}
	table.Replace(map[Frontend]Name{a: {"shop", "new"}})
	if got := table.Lookup(a.Address, a.Port, a.Protocol); got != numbers[gone] {
		t.Errorf("a new service has number %d, want %d again", got, numbers[gone])
	}
}

// TestConcurrent has readers ask while services come and go. Each address is of
// one service only, or of none.
func TestConcurrent(t *testing.T) {
	const rounds, addresses = 6000, 8
	table := newTable()
	address := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 96, 0, byte(i)}) }
	var writers, readers sync.WaitGroup
	done := make(chan struct{})
	for w := range 2 {
		writers.Go(func() {
			for round := range rounds {
				all := map[Frontend]Name{}
				for i := range addresses {
					if (i+w)%2 == 0 {
						all[Frontend{Address: address(i)}] = Name{fmt.Sprint(i), fmt.Sprint(round)}
					}
				}
				table.Replace(all)
			}
		})
	}
	for range 2 {
		readers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				i := n % addresses
				number := table.Lookup(address(i), 80, tcp)
				s := table.At(number)
				if int(number) >= table.Len() || number != 0 && s.Namespace != fmt.Sprint(i) {
					t.Errorf("address %d is of service %d, %+v", i, number, s)
					return
				}
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
	if want := 1 + rounds*addresses; table.Len() != want {
		t.Errorf("%d services, want %d", table.Len(), want)
	}
}
