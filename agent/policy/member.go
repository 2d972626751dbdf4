package policy

import (
	"slices"

	"github.com/fovea-obs/fovea/agent/endpoint"
)

// nature is what an end is to policies.
type nature uint8

const (
	// nobody is an end of which it is not known who it is.
	nobody nature = iota
	pod
	// service is a pod that is not known, behind the address of a Service.
	service
	node
	outside
)

func natureOf(e *endpoint.Endpoint) nature {
	switch {
	case e.IsUnknown():
		return nobody
	case e.Namespace != "" && e.Pod != "":
		return pod
	case e.Namespace != "":
		return service
	case e.IsHost(), slices.Contains(e.Labels, "reserved:remote-node"):
		return node
	}
	return outside
}

// member is a version of an endpoint, with what was found of it.
type member struct {
	number   endpoint.Number
	endpoint *endpoint.Endpoint
	nature   nature
	// host tells that it is this node, local that it is a pod of this node.
	host, local bool
	// whole tells that the labels of its namespace and the names of its ports are
	// known.
	whole bool
	// state is another one whenever other policies select the member, or the same
	// ones changed.
	state uint32
	// selected are the policies that select it, as they are asked; blocks tells
	// whether one of them has a block.
	selected [directions][]*compiled
	blocks   [directions]bool
	// unsure counts policies of which it is not known whether they do.
	unsure [directions]int
	// answers are those to terms, two bits for each id, 0 for what was not asked.
	answers []uint64
}

func newMember(n endpoint.Number, e *endpoint.Endpoint) *member {
	m := &member{number: n, endpoint: e, nature: natureOf(e), host: e.IsHost()}
	m.local = m.nature == pod && e.ID != 0
	name := requirement{Requirement{Operator: Exists}, namespacePart + nameLabel + "="}
	m.whole = m.nature == pod && name.holds(e.Labels)
	return m
}

const answersPerWord = 32

// ask tells whether the member is one of a term's, and asks but once.
func (m *member) ask(t *term) answer {
	word, shift := int(t.id/answersPerWord), t.id%answersPerWord*2
	if word < len(m.answers) {
		if a := answer(m.answers[word] >> shift & 3); a != 0 {
			return a
		}
	} else {
		m.answers = append(m.answers, make([]uint64, word+1-len(m.answers))...)
	}
	a := t.ask(m)
	m.answers[word] |= uint64(a) << shift
	return a
}

// forget has a term asked again, as its id will be another's.
func (m *member) forget(t *term) {
	if word := int(t.id / answersPerWord); word < len(m.answers) {
		m.answers[word] &^= 3 << (t.id % answersPerWord * 2)
	}
}

// add notes the policy if it selects the member, and tells whether it may.
func (m *member) add(c *compiled) bool { return m.change(c, true) }

// remove takes back what add noted.
func (m *member) remove(c *compiled) bool { return m.change(c, false) }

func (m *member) change(c *compiled, add bool) bool {
	if m.nature != pod || c.subject.namespace != "" && c.subject.namespace != m.endpoint.Namespace {
		return false
	}
	is := m.ask(c.subject)
	if is == no {
		return false
	}
	m.state++
	for d := range c.parts {
		switch {
		case !c.parts[d].applies:
		case is == maybe && add:
			m.unsure[d]++
		case is == maybe:
			m.unsure[d]--
		default:
			m.put(direction(d), c, add)
		}
	}
	return true
}

// put adds the policy to those that select the member, or removes it.
func (m *member) put(d direction, c *compiled, add bool) {
	list := m.selected[d]
	i, has := slices.BinarySearchFunc(list, c, (*compiled).compare)
	switch {
	case add:
		list = slices.Insert(list, i, c)
	case has:
		list = slices.Delete(list, i, i+1)
	}
	m.selected[d] = list
	m.blocks[d] = slices.ContainsFunc(list, func(c *compiled) bool { return c.parts[d].blocks })
}
