package encode

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/observer/lookup"
)

// maxMasks is for how many masks of endpoints a Factory keeps their messages:
// clients use one or two.
const maxMasks = 4

// Factory makes the encoders of a server. They share what is long to write and
// often asked for: the messages of endpoints, each written once for a version
// and a mask. It is safe for concurrent use.
type Factory struct {
	tables *lookup.Tables
	octets *octets

	mu        sync.Mutex
	endpoints map[fields]*endpoints
}

// NewFactory returns a factory of encoders of records with these numbers.
func NewFactory(t *lookup.Tables) *Factory {
	return &Factory{tables: t, octets: newOctets(), endpoints: map[fields]*endpoints{}}
}

// of returns the messages for a mask. Those of another mask may be given up.
func (f *Factory) of(mask fields) *endpoints {
	f.mu.Lock()
	defer f.mu.Unlock()
	e, ok := f.endpoints[mask]
	if !ok {
		if len(f.endpoints) == maxMasks {
			for other := range maps.Keys(f.endpoints) {
				delete(f.endpoints, other)
				break
			}
		}
		e = &endpoints{fields: mask}
		e.messages.Store(&[]atomic.Pointer[message]{})
		f.endpoints[mask] = e
	}
	return e
}

// endpoints are the messages of endpoint versions, for one mask.
type endpoints struct {
	fields fields
	// messages are by number. A longer slice takes the place of a shorter one.
	messages atomic.Pointer[[]atomic.Pointer[message]]
	mu       sync.Mutex
}

// message is that of a version, after its length.
type message struct {
	of    *endpoint.Endpoint
	bytes []byte
}

// get returns the message of a number, which must not be changed.
func (s *endpoints) get(t *lookup.Tables, number uint32) []byte {
	of := t.Endpoints.At(endpoint.Number(number))
	if all := *s.messages.Load(); uint64(number) < uint64(len(all)) {
		// A number may be another version's by now.
		if m := all[number].Load(); m != nil && m.of == of {
			return m.bytes
		}
	}
	return s.add(t, number, of)
}

func (s *endpoints) add(t *lookup.Tables, number uint32, of *endpoint.Endpoint) []byte {
	if int(number) >= t.Endpoints.Len() {
		return s.get(t, uint32(endpoint.Unknown))
	}
	b := closeMessage(appendEndpoint([]byte{0, 0}, of, s.fields), 2)
	s.mu.Lock()
	defer s.mu.Unlock()
	all := *s.messages.Load()
	if size := t.Endpoints.Len(); len(all) < size {
		more := make([]atomic.Pointer[message], size+size/4)
		for i := range all {
			more[i].Store(all[i].Load())
		}
		s.messages.Store(&more)
		all = more
	}
	all[number].Store(&message{of, b})
	return b
}
