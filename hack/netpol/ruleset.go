package netpol

import (
	"fmt"
	"net/netip"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
)

// direction is a way that policies are about, as rules are called after it.
type direction struct {
	kind networkingv1.PolicyType
	// near and far are where a packet has the address of the pod that is selected
	// and that of its peer.
	near, far string
}

// The source's end is asked first.
func directions() []direction {
	return []direction{
		{kind: networkingv1.PolicyTypeEgress, near: "saddr", far: "daddr"},
		{kind: networkingv1.PolicyTypeIngress, near: "daddr", far: "saddr"},
	}
}

// discovery is what neighbours find each other by.
const discovery = "icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, nd-redirect }"

// Ruleset is what a node enforces, in the language of nft. The error names the
// policy and its field that cannot be enforced.
func Ruleset(node string, o Objects) (string, error) {
	c, err := read(o)
	if err != nil {
		return "", err
	}
	var forward, chains strings.Builder
	forward.WriteString("\t\ttype filter hook forward priority filter; policy accept;\n" +
		"\t\tct state established,related accept\n\t\t" + discovery + " accept\n")
	for _, d := range directions() {
		for i, p := range c.pods {
			if p.node != node {
				continue
			}
			policies := c.selecting(p, d.kind)
			if len(policies) == 0 {
				continue
			}
			chain := fmt.Sprintf("%s-%d", strings.ToLower(string(d.kind)), i+1)
			for _, a := range p.addrs {
				fmt.Fprintf(&forward, "\t\t%s jump %s\n", address(d.near, a), chain)
			}
			fmt.Fprintf(&chains, "\tchain %s { # %s\n", chain, p.name())
			if err := c.write(&chains, p, d, policies); err != nil {
				return "", err
			}
			chains.WriteString("\t\tdrop\n\t}\n")
		}
	}
	return fmt.Sprintf("table %s {\n\tchain forward {\n%s\t}\n%s}\n", table, forward.String(), chains.String()), nil
}

// write writes what policies allow a pod.
func (c *objects) write(w *strings.Builder, p *pod, d direction, policies []*networkingv1.NetworkPolicy) error {
	for _, a := range p.addrs {
		fmt.Fprintf(w, "\t\t%s return # itself\n", address(d.far, a))
	}
	for _, policy := range policies {
		for i, r := range rulesOf(policy, d.kind) {
			matches, err := c.matches(p, d, policy.Namespace, r)
			if err != nil {
				return fmt.Errorf("network policy %s/%s: %s rule %d: %w", policy.Namespace, policy.Name, strings.ToLower(string(d.kind)), i+1, err)
			}
			for _, m := range matches {
				fmt.Fprintf(w, "\t\t%s # %s/%s\n", join(m, "return"), policy.Namespace, policy.Name)
			}
		}
	}
	return nil
}

// rule is one of either direction.
type rule struct {
	peers []networkingv1.NetworkPolicyPeer
	ports []networkingv1.NetworkPolicyPort
}

func rulesOf(p *networkingv1.NetworkPolicy, kind networkingv1.PolicyType) (rules []rule) {
	if kind == networkingv1.PolicyTypeEgress {
		for _, r := range p.Spec.Egress {
			rules = append(rules, rule{r.To, r.Ports})
		}
		return rules
	}
	for _, r := range p.Spec.Ingress {
		rules = append(rules, rule{r.From, r.Ports})
	}
	return rules
}

// matches are the packets that a rule allows the pod: each is a list of what must
// be so, and that with nothing in it is all.
func (c *objects) matches(p *pod, d direction, namespace string, r rule) (all []string, err error) {
	peers, err := c.peers(namespace, r.peers)
	if err != nil {
		return nil, err
	}
	far := []string{""}
	if len(r.peers) > 0 {
		far = nil
		for _, e := range peers {
			far = append(far, e.matches(d.far)...)
		}
	}
	if len(r.ports) == 0 {
		return far, nil
	}
	for _, port := range r.ports {
		if port.Port != nil && port.Port.StrVal != "" && d.kind == networkingv1.PolicyTypeEgress {
			all = append(all, c.named(peers, port)...)
			continue
		}
		for _, m := range far {
			for _, to := range matchPort(p, port) {
				all = append(all, join(m, to))
			}
		}
	}
	return all, nil
}

// address matches one address, source or destination.
func address(where string, a netip.Addr) string {
	return fmt.Sprintf("%s %s %s", family(a), where, a)
}

// family is what packets with such an address are called.
func family(a netip.Addr) string {
	if a.Is4() {
		return "ip"
	}
	return "ip6"
}

// join puts parts of a rule together, of which some may be empty.
func join(parts ...string) string {
	return strings.Join(strings.Fields(strings.Join(parts, " ")), " ")
}
