// Package service knows which Service an address and port belong to.
package service

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/intern"
)

// Number is an interned service, valid in the Table that gave it for as long as
// the table, or somebody who tells its Release, needs it; 0 is none.
type Number uint32

// Name is what a Service is called.
type Name struct{ Namespace, Name string }

// Service is a Service as a Table has it. It is never changed.
type Service struct {
	Namespace, Name string
	// Endpoint stands for the service where no pod behind it is known.
	Endpoint endpoint.Number
}

// Frontend is what clients of a service connect to. Port 0 stands for all
// ports, Protocol 0 for all protocols, and the unspecified IPv6 address for all
// addresses of nodes, which Lookup is to be asked for by that.
type Frontend struct {
	Address  netip.Addr
	Port     uint16
	Protocol uint8
}

// Table maps frontends to services. Its methods are safe for concurrent use.
type Table struct {
	cluster   string
	endpoints *endpoint.Table
	services  *intern.Set[Name, Service]
	// frontends are those of each address, in its 16-byte form. Neither the map
	// nor its lists are changed once they are here.
	frontends atomic.Pointer[map[[16]byte][]frontend]
	changes   changes

	mu sync.Mutex
	// needed are the numbers of the services that have frontends.
	needed map[Number]bool
}

// compare orders frontends by their fields.
func compare(a, b Frontend) int {
	return cmp.Or(a.Address.Compare(b.Address), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol))
}

// frontend is a Frontend of a known address.
type frontend struct {
	port     uint16
	protocol uint8
	number   Number
}

// covers tells whether a port and protocol are the frontend's.
func (f *frontend) covers(port uint16, protocol uint8) bool {
	return (f.port == 0 || f.port == port) && (f.protocol == 0 || f.protocol == protocol)
}

// exactness is greater for a frontend that names more.
func (f *frontend) exactness() int {
	n := 0
	if f.port != 0 {
		n += 2
	}
	if f.protocol != 0 {
		n++
	}
	return n
}

// NewTable returns a table with no services. Their endpoints are held in the
// table of the endpoints of this cluster. The watchers are told of changes, one
// after the other: they may ask the table but not change it.
func NewTable(cluster string, endpoints *endpoint.Table, watchers ...func(Change)) *Table {
	t := &Table{
		cluster: cluster, endpoints: endpoints, services: intern.New[Name](Service{}),
		changes: changes{watchers: watchers, known: map[Frontend]known{}},
	}
	t.frontends.Store(&map[[16]byte][]frontend{})
	return t
}

// Replace says which services there are, in place of all said before.
func (t *Table) Replace(all map[Frontend]Name) {
	t.changes.mu.Lock()
	defer t.changes.mu.Unlock()
	t.replace(all)
	t.changes.tell(all)
}

func (t *Table) replace(all map[Frontend]Name) {
	t.mu.Lock()
	defer t.mu.Unlock()
	frontends := make(map[[16]byte][]frontend, len(all))
	needed := map[Number]bool{}
	for _, f := range slices.SortedFunc(maps.Keys(all), compare) {
		name := all[f]
		n := Number(t.services.Number(name, Service{
			Namespace: name.Namespace, Name: name.Name,
			Endpoint: t.endpoints.Hold(endpoint.ForService(t.cluster, name.Namespace, name.Name)),
		}))
		needed[n] = true
		key := f.Address.As16()
		frontends[key] = append(frontends[key], frontend{f.Port, f.Protocol, n})
	}
	for _, list := range frontends {
		slices.SortFunc(list, func(a, b frontend) int { return b.exactness() - a.exactness() })
	}
	t.needed = needed
	t.frontends.Store(&frontends)
}

// Lookup returns the service that has this address, port and protocol as a
// frontend, the most exact one, or 0.
func (t *Table) Lookup(a netip.Addr, port uint16, protocol uint8) Number {
	list := (*t.frontends.Load())[a.As16()]
	for i := range list {
		if list[i].covers(port, protocol) {
			return list[i].number
		}
	}
	return 0
}

// Has tells whether a service has this address, at any port.
func (t *Table) Has(a netip.Addr) bool { return len((*t.frontends.Load())[a.As16()]) > 0 }

// At returns the service with number n, which the caller must not change. For 0
// and numbers that stand for nothing its names are empty.
func (t *Table) At(n Number) *Service {
	if s := t.services.At(uint32(n)); s != nil {
		return s
	}
	return t.services.At(0)
}

// Len is above all Numbers.
func (t *Table) Len() int { return t.services.Len() }

// Epoch changes before a Number is given to another service: see package intern.
func (t *Table) Epoch() uint64 { return t.services.Epoch() }

// Grown tells whether it is time for a Release.
func (t *Table) Grown() bool { return t.services.Grown() }

// Release forgets the services that have no frontend any more, unless used says
// that somebody needs them, and with them their endpoints. Nobody may be between
// asking for a Number and telling used of it.
func (t *Table) Release(used func(Number) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.services.Release(func(v uint32) bool {
		n := Number(v)
		if t.needed[n] || used(n) {
			return true
		}
		t.endpoints.Drop(t.services.At(v).Endpoint)
		return false
	})
}
