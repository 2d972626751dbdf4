package policy

// direction is that of a connection, as seen from the end that is judged.
type direction uint8

const (
	egress direction = iota
	ingress
	directions
)

// compiled is a Policy with its terms.
type compiled struct {
	Ref
	priority int32
	subject  *term
	parts    [directions]part
}

type part struct {
	applies bool
	// blocks tells that some peer is a block.
	blocks bool
	rules  []rule
}

// rule matches any of its peers at any of its ports; none are all.
type rule struct {
	action Action
	peers  []peer
	ports  []Port
}

// peer is one of its fields, or nobody.
type peer struct {
	term  *term
	block *Block
	// nodes tells that it is of nodes, all that it is of all.
	nodes, all bool
	// domains tells that it may be anybody.
	domains bool
}

// compile acquires the policy's terms.
func (s *terms) compile(p *Policy) *compiled {
	return &compiled{
		Ref: p.Ref, priority: p.Priority, subject: s.acquire(&p.Subject),
		parts: [directions]part{egress: s.part(&p.Egress), ingress: s.part(&p.Ingress)},
	}
}

func (s *terms) part(p *Part) part {
	c := part{applies: p.Applies}
	if !p.Applies {
		return c
	}
	for i := range p.Rules {
		r := rule{action: p.Rules[i].Action, ports: p.Rules[i].Ports}
		for j := range p.Rules[i].Peers {
			given := &p.Rules[i].Peers[j]
			var to peer
			switch {
			case given.Pods != nil:
				to.term = s.acquire(given.Pods)
			case given.Block != nil:
				to.block, c.blocks = given.Block, true
			case given.Nodes != nil:
				to.nodes, to.all = true, len(*given.Nodes) == 0
			default:
				to.domains = given.Domains
			}
			r.peers = append(r.peers, to)
		}
		c.rules = append(c.rules, r)
	}
	return c
}

// drop releases the policy's terms, and returns those that nobody needs any more.
func (s *terms) drop(c *compiled) (gone []*term) {
	release := func(t *term) {
		if t != nil && s.release(t) {
			gone = append(gone, t)
		}
	}
	release(c.subject)
	for d := range c.parts {
		for i := range c.parts[d].rules {
			for _, p := range c.parts[d].rules[i].peers {
				release(p.term)
			}
		}
	}
	return gone
}

// ports calls do for all ranges of ports that the policy tells apart.
func (c *compiled) ports(do func(Port)) {
	for d := range c.parts {
		for i := range c.parts[d].rules {
			for _, p := range c.parts[d].rules[i].ports {
				if p.Name == "" {
					do(p)
				}
			}
		}
	}
}
