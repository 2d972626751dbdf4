// Package service knows which Service an address and port belong to.
package service

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/fovea-obs/fovea/agent/endpoint"
)

// Number is an interned service, valid in the Table that gave it; 0 is none.
type Number uint32

// Service is a Service's name. It is never changed once a Table has it.
type Service struct {
	Namespace, Name string
	// Endpoint stands for the service where no pod behind it is known.
	Endpoint endpoint.Number
}

// Frontend is what clients of a service connect to. Port 0 stands for all
// ports, Protocol 0 for all protocols.
type Frontend struct {
	Address  netip.Addr
	Port     uint16
	Protocol uint8
}

// Table maps frontends to services. Its methods are safe for concurrent use.
type Table struct {
	// services are indexed by Number and only ever appended to.
	services atomic.Pointer[[]*Service]
	// frontends are those of each address, in its 16-byte form. Neither the map
	// nor its lists are changed once they are here.
	frontends atomic.Pointer[map[[16]byte][]frontend]

	mu      sync.Mutex
	numbers map[Service]Number
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

// NewTable returns a table with no services.
func NewTable() *Table {
	t := &Table{numbers: map[Service]Number{}}
	t.services.Store(&[]*Service{{}})
	t.frontends.Store(&map[[16]byte][]frontend{})
	return t
}

// Replace says which services there are, in place of all said before. Numbers
// given before stay valid.
func (t *Table) Replace(all map[Frontend]Service) {
	t.mu.Lock()
	defer t.mu.Unlock()
	services := *t.services.Load()
	frontends := make(map[[16]byte][]frontend, len(all))
	for f, s := range all {
		n, ok := t.numbers[s]
		if !ok {
			n = Number(len(services))
			services = append(services, &s)
			t.numbers[s] = n
		}
		key := f.Address.As16()
		frontends[key] = append(frontends[key], frontend{f.Port, f.Protocol, n})
	}
	for _, list := range frontends {
		slices.SortFunc(list, func(a, b frontend) int { return b.exactness() - a.exactness() })
	}
	t.services.Store(&services)
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

// At returns the service with number n, which the caller must not change. For 0
// and numbers that the table never gave its names are empty.
func (t *Table) At(n Number) *Service {
	v := *t.services.Load()
	if int(n) >= len(v) {
		n = 0
	}
	return v[n]
}

// Len is the number of services: all Numbers are below it.
func (t *Table) Len() int { return len(*t.services.Load()) }
