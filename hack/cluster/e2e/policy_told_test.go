//go:build e2e

package e2e

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	flowpb "github.com/cilium/cilium/api/v1/flow"
)

// tell says what became of calls.
func (p *policyTest) tell(calls []*call) string {
	var text strings.Builder
	for _, c := range calls {
		var all []string
		for _, a := range c.attempts {
			all = append(all, a.answer+"\n"+shown(p.flows.of(a.port)))
		}
		same := !slices.ContainsFunc(all, func(s string) bool { return s != all[0] })
		for i, told := range all {
			switch {
			case !same:
				fmt.Fprintf(&text, "%s by %s: %s", c.line, family(c.attempts[i].to.Addr()), told)
			case i == 0:
				fmt.Fprintf(&text, "%s: %s", c.line, told)
			}
		}
	}
	return text.String()
}

func family(a netip.Addr) string {
	if a.Is4() {
		return "IPv4"
	}
	return "IPv6"
}

// shown is what flows say of drops and policies, each line once.
func shown(flows []*flowpb.Flow) string {
	if len(flows) == 0 {
		return "  no flows\n"
	}
	var lines []string
	for _, f := range flows {
		if f.GetVerdict() == flowpb.Verdict_DROPPED || f.GetEventType().GetType() == verdictEvent || named(f) != "" {
			lines = append(lines, "  "+f.GetNodeName()+" "+event(f)+named(f)+"\n")
		}
	}
	slices.Sort(lines)
	return strings.Join(slices.Compact(lines), "")
}

// event is what happened. A drop that is no policy's has the kernel's reason.
func event(f *flowpb.Flow) string {
	switch {
	case f.GetEventType().GetType() == verdictEvent:
		return fmt.Sprintf("policy-verdict %s %s", f.GetTrafficDirection(), f.GetVerdict())
	case f.GetEventType().GetType() == dropEvent && f.GetDropReasonDesc() == flowpb.DropReason_POLICY_DENIED:
		return fmt.Sprintf("drop %s %s %s", f.GetTrafficDirection(), f.GetVerdict(), f.GetDropReasonDesc())
	case f.GetEventType().GetType() == dropEvent && f.GetDropReasonDesc() == flowpb.DropReason_DROP_REASON_UNKNOWN:
		_, reason, _ := strings.Cut(f.GetSummary(), "; ")
		reason, _, _ = strings.Cut(reason, " at ")
		return fmt.Sprintf("drop %s %s", f.GetVerdict(), reason)
	}
	return f.String()
}

// named are the policies that a flow names.
func named(f *flowpb.Flow) (text string) {
	for _, by := range []struct {
		what     string
		policies []*flowpb.Policy
	}{
		{"egress allowed", f.GetEgressAllowedBy()}, {"ingress allowed", f.GetIngressAllowedBy()},
		{"egress denied", f.GetEgressDeniedBy()}, {"ingress denied", f.GetIngressDeniedBy()},
	} {
		var names []string
		for _, p := range by.policies {
			names = append(names, fmt.Sprintf("%s %s/%s", p.GetKind(), p.GetNamespace(), p.GetName()))
		}
		if names != nil {
			text += ", " + by.what + " by " + strings.Join(names, " and ")
		}
	}
	return text
}
