package policy

import (
	"cmp"
	"net/netip"
)

// Kind is what sort of policy one is, in the order in which they are asked.
type Kind uint8

// Kinds of policies.
const (
	// Admin is an AdminNetworkPolicy.
	Admin Kind = iota
	// Network is a NetworkPolicy.
	Network
	// Baseline is a BaselineAdminNetworkPolicy.
	Baseline
)

// String is the kind's name in the API.
func (k Kind) String() string {
	switch k {
	case Admin:
		return "AdminNetworkPolicy"
	case Baseline:
		return "BaselineAdminNetworkPolicy"
	}
	return "NetworkPolicy"
}

// Ref names a policy. Those of Admin and Baseline have no namespace.
type Ref struct {
	Kind            Kind
	Namespace, Name string
}

// String is the namespace and name of a Network policy, or kind and name.
func (r Ref) String() string {
	switch r.Kind {
	case Admin:
		return "admin " + r.Name
	case Baseline:
		return "baseline " + r.Name
	}
	return r.Namespace + "/" + r.Name
}

// Policy is a policy of any kind. It belongs to the Table that it was given to,
// and is not changed from then on.
type Policy struct {
	Ref
	// Priority is of Admin policies, the least first. The API leaves open which of
	// two with the same one counts: here it is the first by name.
	Priority int32
	// Subject are the pods that it is for.
	Subject Pods
	Ingress Part
	Egress  Part
}

// Part is what a policy says of one direction.
type Part struct {
	// Applies says that it is about this direction at all. A Network policy that
	// applies isolates its subject, also without rules.
	Applies bool
	Rules   []Rule
}

// Action is what a rule does with what it matches.
type Action uint8

// Actions. Rules of Network policies allow, those of Baseline ones do not pass.
const (
	Allow Action = iota
	Deny
	// Pass goes on behind all Admin policies.
	Pass
)

// Rule matches connections with any of its peers and to any of its ports. None
// are all.
type Rule struct {
	Action Action
	Peers  []Peer
	Ports  []Port
}

// Peer is who may be at the other end. One of its fields is set: a Peer without
// any is nobody.
type Peer struct {
	Pods  *Pods
	Block *Block
	// Nodes selects nodes by their labels.
	Nodes *Selector
}

// Pods are those of a namespace, or of all that match, whose labels match.
type Pods struct {
	// Namespace is the one that they are in; if it is empty, it is one that
	// Namespaces selects.
	Namespace  string
	Namespaces Selector
	Pods       Selector
}

// Block is a range of addresses without parts of it.
type Block struct {
	Prefix netip.Prefix
	Except []netip.Prefix
}

// contains tells whether an address, not one of IPv4 in the form of IPv6, is in
// the block.
func (b *Block) contains(a netip.Addr) bool {
	if !b.Prefix.Contains(a) {
		return false
	}
	for _, e := range b.Except {
		if e.Contains(a) {
			return false
		}
	}
	return true
}

// Port is a range of destination ports, or a name of one.
type Port struct {
	// Protocol is the number of TCP, UDP or SCTP, or 0 for any of them.
	Protocol    uint8
	First, Last uint16
	// Name, if it is not empty, is that of a port of the destination's pod, in the
	// place of the range.
	Name string
}

// compare orders policies as they are asked.
func (c *compiled) compare(other *compiled) int {
	return cmp.Or(cmp.Compare(c.Kind, other.Kind), cmp.Compare(c.priority, other.priority),
		cmp.Compare(c.Namespace, other.Namespace), cmp.Compare(c.Name, other.Name))
}
