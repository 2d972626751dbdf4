package encode

import (
	"fmt"
	"strings"

	flowpb "github.com/cilium/cilium/api/v1/flow"

	"github.com/fovea-obs/fovea/agent/engine"
	"github.com/fovea-obs/fovea/agent/fate"
	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/agent/policy"
)

// outcome is what is written of a drop and of what policies say.
type outcome struct {
	// reason is Hubble's for a drop.
	reason uint64
	// event and policies are fields of the flow.
	event, policies []byte
	// match is a policy.Match.
	match byte
	// summary is the end of a summary.
	summary []byte
	// extensions are by whether the reply bit was inferred.
	extensions [2]extension
}

func hasOutcome(k history.Kind) bool { return k == history.KindDrop || k == history.KindPolicy }

func (e *Encoder) outcome(kind history.Kind, verdict uint8, number uint32) *outcome {
	dropped := kind == history.KindDrop || verdict == uint8(flowpb.Verdict_DROPPED)
	key := uint64(number) << 2
	if kind == history.KindPolicy {
		key |= 1
	}
	if dropped {
		key |= 2
	}
	if o := e.outcomes.find(key); o != nil {
		return o
	}
	t, w := e.tables, &e.want
	f := t.Fates.At(number)
	o := outcome{event: eventType(t, w, kind, 0, number)}
	var words []byte
	if dropped {
		if f.Said != (engine.Word{}) {
			words = appendEntry(words, "engine", appendText(nil, valueString, f.Said.Engine))
		}
		o.reason = uint64(t.DropReason(number))
		reason := strings.ToValidUTF8(t.KernelReason(f), "\uFFFD")
		where := strings.ToValidUTF8(t.Location(f), "\uFFFD")
		o.summary = append(o.summary, "; "+reason...)
		if where != "" {
			o.summary = append(o.summary, " at "+where...)
			words = appendEntry(words, "location", appendText(nil, valueString, where))
		}
		words = appendEntry(words, "reason", appendText(nil, valueString, reason))
		if f.TableFull {
			o.summary = append(o.summary, "; inferred: the table of connections is full (nf_conntrack_max)"...)
			words = appendEntry(words, "reason_inferred", appendText(nil, valueString, "conntrack full"))
		}
	}
	o.judge(w, &f, t.Policies.At(f.Policy), kind)
	o.extensions = newExtensions(w, kind, words, f.Judged() && f.Said == (engine.Word{}))
	to := e.outcomes.claim(key)
	*to = o
	return to
}

// judge adds what policies say, as far as it is part of the fate.
func (o *outcome) judge(w *wanted, f *fate.Fate, v *policy.Verdict, kind history.Kind) {
	who := "inferred"
	if f.Said != (engine.Word{}) {
		who = f.Said.Engine
		said := policy.Decision{Selected: true, Result: policy.Denied, By: []policy.Ref{f.Said.Policy}}
		v = &policy.Verdict{Egress: said, Ingress: said}
	}
	ends := [...]struct {
		part            bool
		decision        *policy.Decision
		name            string
		allowed, denied int
	}{
		{f.Egress, &v.Egress, "egress", flowEgressAllowedBy, flowEgressDeniedBy},
		{f.Ingress, &v.Ingress, "ingress", flowIngressAllowedBy, flowIngressDeniedBy},
	}
	for i, end := range ends {
		if d := end.decision; end.part && d.Result == policy.Allowed && w.allowedBy[i] {
			o.policies = appendPolicies(o.policies, end.allowed, d.By)
		}
	}
	for i, end := range ends {
		if d := end.decision; end.part && d.Result == policy.Denied && w.deniedBy[i] {
			o.policies = appendPolicies(o.policies, end.denied, d.By)
		}
	}
	for _, end := range ends {
		if !end.part {
			continue
		}
		o.summary = append(o.summary, decided(who, end.name, end.decision)...)
		if kind == history.KindPolicy {
			o.match = byte(end.decision.Match)
		}
	}
}

func appendPolicies(b []byte, number int, list []policy.Ref) []byte {
	for _, r := range list {
		var m []byte
		m = appendString(m, policyName, r.Name)
		m = appendString(m, policyNamespace, r.Namespace)
		m = appendString(m, policyKind, r.Kind.String())
		b = appendBytes(b, number, m)
	}
	return b
}

// maxSaid is how many policies a summary names.
const maxSaid = 3

// decided says what policies decide at an end, for a summary.
func decided(who, end string, d *policy.Decision) string {
	result := "allowed"
	if d.Result == policy.Denied {
		result = "denied"
	}
	text := "; " + who + ": " + end + " " + result
	for i, r := range d.By {
		switch {
		case i == maxSaid:
			return text + fmt.Sprintf(" and %d more", len(d.By)-maxSaid)
		case i == 0:
			text += " by "
		default:
			text += ", "
		}
		text += r.Kind.String() + " "
		if r.Namespace != "" {
			text += r.Namespace + "/"
		}
		text += r.Name
	}
	return text
}
