package policy

import (
	"net/netip"
	"slices"
	"sync"

	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/intern"
)

// Query is a connection between two ends, whose addresses are those that policies
// look at. DestinationPort is that of TCP, UDP and SCTP.
type Query struct {
	Source, Destination         endpoint.Number
	SourceAddr, DestinationAddr netip.Addr
	Protocol                    uint8
	DestinationPort             uint16
}

// Table judges connections by the policies that it was told. Its methods are safe
// for concurrent use.
type Table struct {
	endpoints *endpoint.Table
	verdicts  *intern.Set[string, Verdict]

	mu       sync.Mutex
	terms    terms
	policies map[Ref]*compiled
	// byNamespace has those that select pods of a namespace; of any if it is empty.
	byNamespace map[string]map[Ref]*compiled
	// applying counts policies in each direction.
	applying [directions]int
	ports    boundaries
	// members are by number of the endpoint, nil where it was not met.
	members []*member
	// cache is nil until it is needed.
	cache cache
}

// NewTable returns a table with no policies, for ends that have the numbers of
// these endpoints.
func NewTable(endpoints *endpoint.Table) *Table {
	return &Table{
		endpoints:   endpoints,
		verdicts:    intern.New[string](Verdict{}, Verdict{Decision{Result: Allowed}, Decision{Result: Allowed}}),
		terms:       terms{byKey: map[string]*term{}},
		policies:    map[Ref]*compiled{},
		byNamespace: map[string]map[Ref]*compiled{},
		ports:       boundaries{counts: map[uint16]int{}},
	}
}

// Judge returns the verdict of a connection. Nobody may Release verdicts, or the
// endpoints asked for, until the number is noted where the one who does is told of
// it.
func (t *Table) Judge(q Query) Number {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.policies) == 0 {
		return Open
	}
	source, destination := t.member(q.Source), t.member(q.Destination)
	k := t.key(&q, source, destination)
	if t.cache == nil {
		t.cache = make(cache, cacheSets)
	}
	return t.cache.get(&k, func() Number { return t.judge(&q, source, destination) })
}

// exempt tells whether policies are not asked: a pod may talk with itself, and
// with its own node.
func exempt(a, b *member) bool {
	if a.nature != pod || b.nature != pod {
		return a.host && b.local || a.local && b.host
	}
	return a == b || a.endpoint.Pod == b.endpoint.Pod && a.endpoint.Namespace == b.endpoint.Namespace
}

func (t *Table) key(q *Query, source, destination *member) key {
	k := key{
		source: source, destination: destination, sourceState: source.state, destinationState: destination.state,
		port: q.DestinationPort, protocol: q.Protocol,
		named: slices.ContainsFunc(destination.endpoint.Ports, func(p endpoint.Port) bool { return p.Number == q.DestinationPort }),
	}
	if !k.named {
		k.port = t.ports.floor(q.DestinationPort)
	}
	if destination.blocks[ingress] {
		k.sourceAddr = q.SourceAddr
	}
	if source.blocks[egress] {
		k.destinationAddr = q.DestinationAddr
	}
	return k
}

func (t *Table) judge(q *Query, source, destination *member) Number {
	if exempt(source, destination) {
		return Open
	}
	out := end{
		direction: egress, near: source, far: destination, address: q.DestinationAddr.Unmap(),
		destination: destination, protocol: q.Protocol, port: q.DestinationPort,
	}
	in := out
	in.direction, in.near, in.far, in.address = ingress, destination, source, q.SourceAddr.Unmap()
	v := Verdict{out.decide(t.applying[egress] > 0), in.decide(t.applying[ingress] > 0)}
	switch {
	case v.isOpen():
		return Open
	case v.isUnjudged():
		return Unjudged
	}
	return Number(t.verdicts.Number(v.key(), v))
}

// member returns what was found of an endpoint, and meets it if it is new or its
// number stands for another by now.
func (t *Table) member(n endpoint.Number) *member {
	e := t.endpoints.At(n)
	if uint64(n) < uint64(len(t.members)) {
		if m := t.members[n]; m != nil && m.endpoint == e {
			return m
		}
	}
	return t.meet(n, e)
}

func (t *Table) meet(n endpoint.Number, e *endpoint.Endpoint) *member {
	m := newMember(n, e)
	for _, of := range [...]string{"", e.Namespace} {
		if of == "" && m.nature != pod {
			continue
		}
		for _, c := range t.byNamespace[of] {
			m.add(c)
		}
	}
	if total := t.endpoints.Len(); int(n) < total {
		if more := total - len(t.members); more > 0 {
			t.members = append(t.members, make([]*member, more)...)
		}
		t.members[n] = m
	}
	return m
}

// At returns the verdict with number n, which the caller must not change. A number
// that stands for nothing is Unjudged.
func (t *Table) At(n Number) *Verdict {
	if v := t.verdicts.At(uint32(n)); v != nil {
		return v
	}
	return t.verdicts.At(uint32(Unjudged))
}

// Len is above all Numbers.
func (t *Table) Len() int { return t.verdicts.Len() }

// Epoch changes before a Number is given to another verdict: see package intern.
func (t *Table) Epoch() uint64 { return t.verdicts.Epoch() }

// Grown tells whether it is time for a Release.
func (t *Table) Grown() bool { return t.verdicts.Grown() }

// Release forgets the verdicts that nobody needs, as used says, and what was found
// of endpoints that are no more.
func (t *Table) Release(used func(Number) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for n, m := range t.members {
		if m != nil && t.endpoints.At(endpoint.Number(n)) != m.endpoint {
			t.members[n] = nil
		}
	}
	t.verdicts.Release(func(n uint32) bool { return used(Number(n)) })
	clear(t.cache)
}
