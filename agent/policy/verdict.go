package policy

import "strconv"

// Result is what becomes of a connection at one end.
type Result uint8

// Results.
const (
	// Unknown is where it depends on what is not known.
	Unknown Result = iota
	Allowed
	Denied
)

// Number is an interned Verdict, valid in the Table that gave it until a Release
// that does not keep it.
type Number uint32

// Numbers that every Table has.
const (
	// Unjudged is of the zero Verdict, which knows nothing.
	Unjudged Number = iota
	// Open is of the Verdict that allows a connection without any policy.
	Open
)

// Verdict is what policies say of a connection. It is never changed.
type Verdict struct {
	// Egress is what those of the source say, Ingress those of the destination.
	Egress, Ingress Decision
}

// Allowed tells whether both ends allow the connection, as far as it is known.
func (v *Verdict) Allowed() Result {
	switch {
	case v.Egress.Result == Denied || v.Ingress.Result == Denied:
		return Denied
	case v.Egress.Result == Allowed && v.Ingress.Result == Allowed:
		return Allowed
	}
	return Unknown
}

// Match is what a policy that decides looks at. The numbers are those of Cilium's
// pkg/monitor/api, which clients print the names of.
type Match uint8

// Matches.
const (
	// MatchNone is where no rule matched: an end is isolated, or left open.
	MatchNone Match = iota
	// MatchPeer is of a rule that names peers and no ports.
	MatchPeer
	// MatchPeerPort is of a rule that names both.
	MatchPeerPort
	// MatchPort is of a rule that names ports and no peers.
	MatchPort
	// MatchAll is of a rule that names neither.
	MatchAll
)

// maxNamed is how many policies a Decision names at most: whoever may write them
// can write thousands.
const maxNamed = 16

// Decision is what the policies of one end say.
type Decision struct {
	// Selected says that a policy is for this end in this direction.
	Selected bool
	Result   Result
	// By are the policies that allow the connection or, where it is denied, that
	// deny it: all Network policies that select an end deny what none of them
	// allows. It names the first 16, in the order in which they are asked. It is
	// empty where no policy decides, and where it is not known which one does.
	By []Ref
	// Match is of the rule that decides, the first policy's if more than one does.
	Match Match
}

// key is equal for equal verdicts.
func (v *Verdict) key() string {
	var b []byte
	for _, d := range []*Decision{&v.Egress, &v.Ingress} {
		b = append(b, '0'+byte(d.Result), '0'+byte(d.Match))
		b = strconv.AppendBool(b, d.Selected)
		for _, r := range d.By {
			b = append(b, '0'+byte(r.Kind))
			b = strconv.AppendQuote(strconv.AppendQuote(b, r.Namespace), r.Name)
		}
	}
	return string(b)
}

// isOpen tells whether the verdict is that of Open.
func (v *Verdict) isOpen() bool {
	return !v.Egress.Selected && !v.Ingress.Selected && v.Egress.Result == Allowed && v.Ingress.Result == Allowed
}

// isUnjudged tells whether the verdict is that of Unjudged.
func (v *Verdict) isUnjudged() bool {
	return !v.Egress.Selected && !v.Ingress.Selected && v.Egress.Result == Unknown && v.Ingress.Result == Unknown
}
