package policy

import "strconv"

// term is Pods that policies select by, or have as a peer: one for all that are
// equal.
type term struct {
	// id is a small number that no other term has.
	id   uint32
	refs int
	key  string

	namespace        string
	namespaces, pods []requirement
}

// ask tells whether an endpoint is one of the term's pods.
func (t *term) ask(m *member) answer {
	e := m.endpoint
	switch m.nature {
	case outside, node:
		return no
	case service:
		return min(maybe, answerOf(t.namespace == "" || t.namespace == e.Namespace))
	case nobody:
		return maybe
	}
	if t.namespace != "" {
		return answerOf(t.namespace == e.Namespace && podMatches(t.pods, e))
	}
	if !podMatches(t.pods, e) {
		return no
	}
	return namespaceMatches(t.namespaces, e, m.whole)
}

// terms are all that are in use.
type terms struct {
	byKey map[string]*term
	free  []uint32
	next  uint32
}

// acquire returns the term for these pods, to be released once.
func (s *terms) acquire(p *Pods) *term {
	key := termKey(p)
	t := s.byKey[key]
	if t == nil {
		t = &term{id: s.number(), key: key, namespace: p.Namespace, pods: podRequirements(p.Pods)}
		if p.Namespace == "" {
			t.namespaces = namespaceRequirements(p.Namespaces)
		}
		s.byKey[key] = t
	}
	t.refs++
	return t
}

func (s *terms) number() uint32 {
	if last := len(s.free) - 1; last >= 0 {
		id := s.free[last]
		s.free = s.free[:last]
		return id
	}
	s.next++
	return s.next - 1
}

// release ends an acquire, and tells whether nobody needs the term any more. Its
// id may then be another's once it is given to forget.
func (s *terms) release(t *term) (gone bool) {
	if t.refs--; t.refs > 0 {
		return false
	}
	delete(s.byKey, t.key)
	return true
}

func (s *terms) forget(id uint32) { s.free = append(s.free, id) }

// termKey is equal for Pods that say the same in the same order.
func termKey(p *Pods) string {
	b := strconv.AppendQuote(nil, p.Namespace)
	if p.Namespace == "" {
		b = appendSelector(b, p.Namespaces)
	}
	return string(appendSelector(append(b, '/'), p.Pods))
}

func appendSelector(b []byte, s Selector) []byte {
	for _, r := range s {
		b = strconv.AppendQuote(append(b, '0'+byte(r.Operator)), r.Key)
		for _, v := range r.Values {
			b = strconv.AppendQuote(b, v)
		}
	}
	return b
}
