package policy

import (
	"net/netip"
	"slices"
)

// IP protocols that policies are about.
const (
	tcp  = 6
	udp  = 17
	sctp = 132
)

// end is one end of a connection, which its policies are asked about.
type end struct {
	direction direction
	// near is judged, and far is its peer, at address.
	near, far *member
	address   netip.Addr
	// destination is near or far.
	destination *member
	protocol    uint8
	port        uint16
}

// decide asks the near end's policies. Any tells whether there are policies in
// this direction at all.
func (e *end) decide(any bool) Decision {
	near := e.near
	list := near.selected[e.direction]
	switch {
	case near.nature == nobody || near.nature == service:
		if any {
			return Decision{}
		}
		return Decision{Result: Allowed}
	case near.unsure[e.direction] > 0:
		return Decision{Selected: len(list) > 0}
	case len(list) == 0:
		return Decision{Result: Allowed}
	case e.protocol != tcp && e.protocol != udp && e.protocol != sctp:
		return Decision{Selected: true}
	}
	admin, list := split(list, adminTier)
	network, baseline := split(list, networkTier)
	d := e.first(admin, func() Decision {
		if len(network) > 0 {
			return e.any(network)
		}
		return e.first(baseline, func() Decision { return Decision{Result: Allowed} })
	})
	d.Selected = true
	return d
}

// split parts a sorted list behind those of a tier.
func split(list []*compiled, t tier) (these, rest []*compiled) {
	i := slices.IndexFunc(list, func(c *compiled) bool { return c.Kind.tier() > t })
	if i < 0 {
		i = len(list)
	}
	return list[:i], list[i:]
}

// first is what the first rule that matches does: if it passes, or none does, it
// is what the rest says. Rules that may match count as far as they make a
// difference.
func (e *end) first(list []*compiled, rest func() Decision) Decision {
	var possible []Result
	settle := func(d Decision) Decision {
		if len(possible) == 0 {
			return d
		}
		if slices.ContainsFunc(possible, func(r Result) bool { return r != d.Result }) {
			return Decision{}
		}
		return Decision{Result: d.Result}
	}
	for _, c := range list {
		rules := c.parts[e.direction].rules
		for i := range rules {
			is := e.matches(&rules[i])
			if is == no {
				continue
			}
			var d Decision
			switch rules[i].action {
			case Allow:
				d = Decision{Result: Allowed, By: []Ref{c.Ref}, Match: rules[i].match()}
			case Deny:
				d = Decision{Result: Denied, By: []Ref{c.Ref}, Match: rules[i].match()}
			default:
				d = rest()
			}
			if is == yes {
				return settle(d)
			}
			possible = append(possible, d.Result)
		}
	}
	return settle(rest())
}

// any is what Network policies say: what none of them allows is denied.
func (e *end) any(list []*compiled) Decision {
	d := Decision{Result: Allowed}
	unsure := false
	for _, c := range list {
		best, match := no, MatchNone
		rules := c.parts[e.direction].rules
		for i := range rules {
			if best = max(best, e.matches(&rules[i])); best == yes {
				match = rules[i].match()
				break
			}
		}
		if best == yes && len(d.By) == 0 {
			d.Match = match
		}
		if best == yes && len(d.By) < maxNamed {
			d.By = append(d.By, c.Ref)
		}
		unsure = unsure || best == maybe
	}
	switch {
	case len(d.By) > 0:
		return d
	case unsure:
		return Decision{}
	}
	d.Result = Denied
	for _, c := range list[:min(len(list), maxNamed)] {
		d.By = append(d.By, c.Ref)
	}
	return d
}

// matches tells whether the connection is one of the rule's.
func (e *end) matches(r *rule) answer {
	is := yes
	if len(r.ports) > 0 {
		is = no
		for i := range r.ports {
			is = max(is, e.hasPort(&r.ports[i]))
		}
	}
	if is == no || len(r.peers) == 0 {
		return is
	}
	best := no
	for i := range r.peers {
		if best = max(best, e.isPeer(&r.peers[i])); best == yes {
			break
		}
	}
	return min(is, best)
}

// match is what the rule looks at.
func (r *rule) match() Match {
	switch {
	case len(r.peers) == 0 && len(r.ports) == 0:
		return MatchAll
	case len(r.ports) == 0:
		return MatchPeer
	case len(r.peers) == 0:
		return MatchPort
	}
	return MatchPeerPort
}

// isPeer tells whether the far end is a peer.
func (e *end) isPeer(p *peer) answer {
	switch {
	case p.domains:
		return maybe
	case p.term != nil:
		return e.far.ask(p.term)
	case p.block != nil && e.far.nature == service:
		return maybe
	case p.block != nil:
		return answerOf(p.block.contains(e.address))
	case !p.nodes:
		return no
	}
	switch {
	case e.far.nature == nobody:
		return maybe
	case e.far.nature != node:
		return no
	case p.all:
		return yes
	}
	return maybe
}

// hasPort tells whether the connection is to a port.
func (e *end) hasPort(p *Port) answer {
	if p.Protocol != 0 && p.Protocol != e.protocol {
		return no
	}
	to := e.destination
	if p.Name == "" {
		if to.nature == service && (p.First > 0 || p.Last+1 != 0) {
			return maybe
		}
		return answerOf(p.First <= e.port && e.port <= p.Last)
	}
	switch to.nature {
	case nobody, service:
		return maybe
	case node, outside:
		return no
	}
	for i := range to.endpoint.Ports {
		has := &to.endpoint.Ports[i]
		if has.Name == p.Name && has.Number == e.port && has.Protocol == e.protocol {
			return yes
		}
	}
	if !to.whole {
		return maybe
	}
	return no
}
