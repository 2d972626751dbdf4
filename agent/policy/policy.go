package policy

import (
	"cmp"
	"net/netip"
)

// Kind is what sort of policy one is.
type Kind uint8

// Kinds of policies.
const (
	// Admin is an AdminNetworkPolicy.
	Admin Kind = iota
	// ClusterAdmin is a ClusterNetworkPolicy of the tier Admin.
	ClusterAdmin
	// Network is a NetworkPolicy.
	Network
	// Baseline is a BaselineAdminNetworkPolicy.
	Baseline
	// ClusterBaseline is a ClusterNetworkPolicy of the tier Baseline.
	ClusterBaseline
)

// String is what the API calls the kind, with no word of a tier.
func (k Kind) String() string {
	switch k {
	case Admin:
		return "AdminNetworkPolicy"
	case Network:
		return "NetworkPolicy"
	case Baseline:
		return "BaselineAdminNetworkPolicy"
	case ClusterAdmin, ClusterBaseline:
		return "ClusterNetworkPolicy"
	}
	return ""
}

// tier is when a policy is asked. All of one tier are asked together.
type tier uint8

const (
	adminTier tier = iota
	networkTier
	baselineTier
)

func (k Kind) tier() tier {
	switch k {
	case Admin, ClusterAdmin:
		return adminTier
	case Network:
		return networkTier
	}
	return baselineTier
}

// Ref names a policy. Only those of the kind Network have a namespace.
type Ref struct {
	Kind            Kind
	Namespace, Name string
}

// String is the namespace and name of a Network policy, or kind and name.
func (r Ref) String() string {
	if r.Kind == Network {
		return r.Namespace + "/" + r.Name
	}
	return r.Kind.String() + " " + r.Name
}

// Policy is a policy of any kind. It belongs to the Table that it was given to,
// and is not changed from then on.
type Policy struct {
	Ref
	// Priority is that within a tier, the least first. The API leaves open which of
	// two with the same one counts: here it is the first by kind, then by name. It
	// is 0 for Network policies, of which none is before another, and for Baseline
	// ones.
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

// Actions. Rules of Network policies allow.
const (
	Allow Action = iota
	Deny
	// Pass goes on behind all policies of the tier.
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
	// Domains says that it is whoever has certain domain names. Nobody knows here who
	// that is, so it may be anybody.
	Domains bool
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
	return cmp.Or(cmp.Compare(c.Kind.tier(), other.Kind.tier()), cmp.Compare(c.priority, other.priority),
		cmp.Compare(c.Kind, other.Kind), cmp.Compare(c.Namespace, other.Namespace), cmp.Compare(c.Name, other.Name))
}
