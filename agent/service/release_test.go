package service

import (
	"fmt"
	"testing"

	"github.com/fovea-obs/fovea/agent/endpoint"
)

// unused is for Release: nobody else needs a number.
func unused(Number) bool { return false }

func released(endpoints *endpoint.Table) {
	endpoints.Release(func(endpoint.Number) bool { return false })
}

// TestReleaseOfEndpoints has the endpoint of a service in flows for longer than
// the service.
func TestReleaseOfEndpoints(t *testing.T) {
	table := newTable()
	endpoints := table.endpoints
	f := frontend4(80, tcp)
	table.Replace(map[Frontend]Name{f: {"shop", "web"}})
	s := table.At(table.Lookup(f.Address, 80, tcp))
	table.Replace(nil)
	table.Release(unused)
	endpoints.Release(func(n endpoint.Number) bool { return n == s.Endpoint })
	if got := endpoints.At(s.Endpoint).String(); got != "shop/web(Service)" {
		t.Errorf("the endpoint in flows is %s", got)
	}
	// The service comes back meanwhile.
	table.Replace(map[Frontend]Name{f: {"shop", "web"}})
	released(endpoints)
	n := table.Lookup(f.Address, 80, tcp)
	if got := nameOf(t, table, n); got != (Name{"shop", "web"}) || table.At(n).Endpoint != s.Endpoint {
		t.Errorf("%+v has endpoint %d, and had %d", got, table.At(n).Endpoint, s.Endpoint)
	}
}

// TestChurn has many services come and go, and holds that the tables do not grow
// with them.
func TestChurn(t *testing.T) {
	const rounds, alive = 20_000, 10
	table := newTable()
	endpoints := table.endpoints
	releases := 0
	for round := range rounds {
		all := map[Frontend]Name{}
		for i := range alive {
			all[frontend4(uint16(i+1), tcp)] = Name{"shop", fmt.Sprint("service-", round+i)}
		}
		table.Replace(all)
		if n := table.Lookup(frontend4(1, tcp).Address, 1, tcp); table.At(n).Name != fmt.Sprint("service-", round) {
			t.Fatalf("round %d: it is %+v", round, table.At(n))
		}
		if table.Grown() || endpoints.Grown() {
			releases++
			table.Release(unused)
			released(endpoints)
		}
	}
	if most := 2 * 1024; table.Len() > most || endpoints.Len() > most || releases == 0 {
		t.Errorf("%d services and %d endpoints after %d releases, want at most %d", table.Len(), endpoints.Len(), releases, most)
	}
}
