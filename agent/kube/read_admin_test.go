package kube

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/fovea-obs/fovea/agent/policy"
)

// TestReadAdmin has specs of each kind that are understood.
func TestReadAdmin(t *testing.T) {
	team := policy.Selector{{Key: "team", Operator: policy.In, Values: []string{"a"}}}
	all := policy.Peer{Pods: &policy.Pods{}}
	block := func(p string) policy.Peer {
		return policy.Peer{Block: &policy.Block{Prefix: netip.MustParsePrefix(p)}}
	}
	for name, tt := range map[string]struct {
		kind adminKind
		spec string
		want policy.Policy
	}{
		"no rules": {adminPolicy, `{priority: 7, subject: {namespaces: {matchLabels: {team: a}}}}`, policy.Policy{
			Ref: policy.Ref{Kind: policy.Admin}, Priority: 7, Subject: policy.Pods{Namespaces: team},
		}},
		"all fields of an AdminNetworkPolicy": {adminPolicy, `
priority: 0
subject: {pods: {namespaceSelector: {matchExpressions: [{key: team, operator: In, values: [a]}]}, podSelector: {matchLabels: {team: a}}}}
ingress:
- {name: one, action: Allow, from: [{namespaces: {}}, {pods: {namespaceSelector: {}, podSelector: {matchLabels: {team: a}}}}]}
- {action: Deny, from: [{namespaces: {}}], ports: [{portNumber: {port: 80}}, {portNumber: {protocol: UDP, port: 53}}, {portRange: {protocol: SCTP, start: 1, end: 65535}}, {namedPort: web}]}
egress:
- {action: Pass, to: [{nodes: {matchLabels: {team: a}}}, {networks: [10.0.0.0/8, "::/0"]}, {domainNames: ["*.example.com", example.org]}, {namespaces: {}}]}
`, policy.Policy{
			Ref: policy.Ref{Kind: policy.Admin}, Subject: policy.Pods{Namespaces: team, Pods: team},
			Ingress: policy.Part{Applies: true, Rules: []policy.Rule{
				{Peers: []policy.Peer{all, {Pods: &policy.Pods{Pods: team}}}},
				{Action: policy.Deny, Peers: []policy.Peer{all}, Ports: []policy.Port{
					{Protocol: 6, First: 80, Last: 80}, {Protocol: 17, First: 53, Last: 53}, {Protocol: 132, First: 1, Last: 65535}, {Name: "web"},
				}},
			}},
			Egress: policy.Part{Applies: true, Rules: []policy.Rule{{Action: policy.Pass, Peers: []policy.Peer{
				{Nodes: &team}, block("10.0.0.0/8"), block("::/0"), {Domains: true}, all,
			}}}},
		}},
		"a BaselineAdminNetworkPolicy": {baselinePolicy, `{subject: {namespaces: {}}, egress: [{action: Deny, to: [{nodes: {}}]}]}`, policy.Policy{
			Ref:    policy.Ref{Kind: policy.Baseline},
			Egress: policy.Part{Applies: true, Rules: []policy.Rule{{Action: policy.Deny, Peers: []policy.Peer{{Nodes: new(policy.Selector)}}}}},
		}},
		"a ClusterNetworkPolicy": {clusterPolicy, `
tier: Admin
priority: 1000
subject: {namespaces: {}}
ingress: [{action: Accept, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {number: 80}}}, {udp: {destinationPort: {range: {start: 1, end: 2}}}}, {sctp: {destinationPort: {number: 1}}}, {destinationNamedPort: web}]}]
`, policy.Policy{
			Ref: policy.Ref{Kind: policy.ClusterAdmin}, Priority: 1000,
			Ingress: policy.Part{Applies: true, Rules: []policy.Rule{{Peers: []policy.Peer{all}, Ports: []policy.Port{
				{Protocol: 6, First: 80, Last: 80}, {Protocol: 17, First: 1, Last: 2}, {Protocol: 132, First: 1, Last: 1}, {Name: "web"},
			}}}},
		}},
		"a ClusterNetworkPolicy, baseline": {clusterPolicy, `{tier: Baseline, priority: 1, subject: {namespaces: {}}, egress: [{action: Pass, to: [{namespaces: {}}]}]}`, policy.Policy{
			Ref: policy.Ref{Kind: policy.ClusterBaseline}, Priority: 1,
			Egress: policy.Part{Applies: true, Rules: []policy.Rule{{Action: policy.Pass, Peers: []policy.Peer{all}}}},
		}},
	} {
		got, err := readAdmin(tt.kind, toJSON(t, tt.spec))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d := cmp.Diff(&tt.want, got, cmpopts.EquateEmpty(), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// TestReadAdminErrors has specs that are not understood, which are told by the
// field.
func TestReadAdminErrors(t *testing.T) {
	const (
		toAll   = `subject: {namespaces: {}}, `
		admin   = "priority: 1, " + toAll
		cluster = "tier: Admin, " + admin
		from    = "from: [{namespaces: {}}]"
	)
	for _, tt := range []struct {
		kind       adminKind
		spec, want string
	}{
		{adminPolicy, ``, `spec: unexpected end of JSON input`},
		{adminPolicy, `[]`, `spec: json: cannot unmarshal array into Go value of type kube.adminSpec`},
		{adminPolicy, `{priority: x}`, `spec: json: cannot unmarshal string into Go struct field adminSpec.priority of type int32`},
		{adminPolicy, `null`, `spec.priority: there is none`},
		{adminPolicy, `{` + toAll + `}`, `spec.priority: there is none`},
		{adminPolicy, `{` + admin + `tier: Admin}`, `spec.tier: this kind has none`},
		{adminPolicy, `{` + admin + `later: 1}`, `spec: unknown field "later"`},
		{adminPolicy, `{` + admin + `Ingress: []}`, `spec: unknown field "Ingress"`},
		{baselinePolicy, `{` + admin + `}`, `spec.priority: this kind has none`},
		{clusterPolicy, `{` + admin + `}`, `spec.tier: there is none`},
		{clusterPolicy, `{tier: Admin, ` + toAll + `}`, `spec.priority: there is none`},
		{clusterPolicy, `{tier: Top, ` + admin + `}`, `spec.tier: it is "Top", and may be Admin or Baseline`},
		{adminPolicy, `{priority: 1}`, `spec.subject: it has none of the fields that are known`},
		{adminPolicy, `{priority: 1, subject: {namespaces: {}, pods: {}}}`, `spec.subject: it has more than one field`},
		{adminPolicy, `{priority: 1, subject: {nodes: {}}}`, `spec: unknown field "subject.nodes"`},
		// As the first versions of v1alpha1 had it.
		{adminPolicy, `{priority: 1, subject: {namespaces: {namespaceSelector: {matchLabels: {a: b}}}}}`, `spec: unknown field "subject.namespaces.namespaceSelector"`},
		{adminPolicy, `{` + admin + `ingress: [{action: Deny, from: [{namespaces: {sameLabels: [a]}}]}]}`, `spec: unknown field "ingress[0].from[0].namespaces.sameLabels"`},
		{adminPolicy, `{priority: 1, subject: {namespaces: {matchExpressions: [{key: a, operator: Like}]}}}`, `spec.subject.namespaces.matchExpressions[0]: the operator is "Like"`},
		{adminPolicy, `{priority: 1, subject: {pods: {podSelector: {matchExpressions: [{key: a, operator: In}]}}}}`, `spec.subject.pods.podSelector.matchExpressions[0]: In has 0 values`},
		{adminPolicy, `{` + admin + `ingress: [{action: Deny}]}`, `spec.ingress[0].from: there is none`},
		{adminPolicy, `{` + admin + `egress: [{action: Deny, to: []}]}`, `spec.egress[0].to: there is none`},
		{adminPolicy, `{` + admin + `egress: [{action: Deny, ` + from + `}]}`, `spec.egress[0].from: a rule of egress has to`},
		{adminPolicy, `{` + admin + `ingress: [{action: Deny, to: [{namespaces: {}}]}]}`, `spec.ingress[0].to: a rule of ingress has from`},
		{adminPolicy, `{` + admin + `ingress: [{action: Deny, from: [{networks: [10.0.0.0/8]}]}]}`, `spec: unknown field "ingress[0].from[0].networks"`},
		{adminPolicy, `{` + admin + `ingress: [{` + from + `}]}`, `spec.ingress[0].action: it is "", and may be Allow, Deny or Pass`},
		{adminPolicy, `{` + admin + `ingress: [{action: Accept, ` + from + `}]}`, `spec.ingress[0].action: it is "Accept", and may be Allow, Deny or Pass`},
		{clusterPolicy, `{` + cluster + `ingress: [{action: Allow, ` + from + `}]}`, `spec.ingress[0].action: it is "Allow", and may be Accept, Deny or Pass`},
		{baselinePolicy, `{` + toAll + `ingress: [{action: Pass, ` + from + `}]}`, `spec.ingress[0].action: it is "Pass", and may be Allow or Deny`},
		{adminPolicy, `{` + admin + `egress: [{action: Deny, to: [{namespaces: {}}, {}]}]}`, `spec.egress[0].to[1]: it has none of the fields that are known`},
		{adminPolicy, `{` + admin + `egress: [{action: Deny, to: [{networks: []}]}]}`, `spec.egress[0].to[0]: it has none of the fields that are known`},
		{adminPolicy, `{` + admin + `egress: [{action: Deny, to: [{namespaces: {}, networks: [10.0.0.0/8]}]}]}`, `spec.egress[0].to[0]: it has more than one field`},
		{adminPolicy, `{` + admin + `egress: [{action: Deny, to: [{networks: [10.0.0.0/8, x]}]}]}`, `spec.egress[0].to[0].networks[1]: "x" is not a range of addresses`},
		{adminPolicy, `{` + admin + `egress: [{action: Deny, to: [{nodes: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}}]}]}`, `spec.egress[0].to[0].nodes.matchExpressions[0]: Exists has 1 values`},
		{adminPolicy, `{` + admin + `ingress: [{action: Deny, ` + from + `, ports: []}]}`, `spec.ingress[0].ports: there is none`},
		{adminPolicy, `{` + admin + `ingress: [{action: Deny, ` + from + `, protocols: [{tcp: {}}]}]}`, `spec.ingress[0].protocols: this kind has none`},
		{adminPolicy, `{` + admin + `ingress: [{action: Deny, ` + from + `, ports: [{}]}]}`, `spec.ingress[0].ports[0]: it has not one of the fields that are known`},
		{adminPolicy, `{` + admin + `ingress: [{action: Deny, ` + from + `, ports: [{namedPort: ""}]}]}`, `spec.ingress[0].ports[0].namedPort: "" is no name`},
		{adminPolicy, `{` + admin + `ingress: [{action: Deny, ` + from + `, ports: [{portNumber: {port: 0}}]}]}`, `spec.ingress[0].ports[0].portNumber: it is 0 to 0`},
		{adminPolicy, `{` + admin + `ingress: [{action: Deny, ` + from + `, ports: [{portRange: {protocol: ICMP, start: 1, end: 2}}]}]}`, `spec.ingress[0].ports[0].portRange: it is "ICMP", and may be TCP, UDP or SCTP`},
		{adminPolicy, `{` + admin + `ingress: [{action: Deny, ` + from + `, ports: [{portRange: {start: 2, end: 1}}]}]}`, `spec.ingress[0].ports[0].portRange: it is 2 to 1`},
		{clusterPolicy, `{` + cluster + `ingress: [{action: Deny, ` + from + `, ports: [{portNumber: {port: 1}}]}]}`, `spec.ingress[0].ports: this kind has none`},
		{clusterPolicy, `{` + cluster + `ingress: [{action: Deny, ` + from + `, protocols: [{}]}]}`, `spec.ingress[0].protocols[0]: it has not one of the fields that are known`},
		{clusterPolicy, `{` + cluster + `ingress: [{action: Deny, ` + from + `, protocols: [{udp: {}}]}]}`, `spec.ingress[0].protocols[0].udp: it has not one of the fields that are known`},
		{clusterPolicy, `{` + cluster + `ingress: [{action: Deny, ` + from + `, protocols: [{icmp: {}}]}]}`, `spec: unknown field "ingress[0].protocols[0].icmp"`},
		{clusterPolicy, `{` + cluster + `ingress: [{action: Deny, ` + from + `, protocols: [{tcp: {destinationPort: {number: 65536}}}]}]}`, `spec.ingress[0].protocols[0].tcp.destinationPort.number: it is 65536 to 65536`},
		{clusterPolicy, `{` + cluster + `ingress: [{action: Deny, ` + from + `, protocols: [{sctp: {destinationPort: {number: 1, range: {start: 1, end: 2}}}}]}]}`, `spec.ingress[0].protocols[0].sctp: it has not one of the fields that are known`},
		{clusterPolicy, `{` + cluster + `ingress: [{action: Deny, ` + from + `, protocols: [{sctp: {destinationPort: {range: {start: 2, end: 1}}}}]}]}`, `spec.ingress[0].protocols[0].sctp.destinationPort.range: it is 2 to 1`},
		{clusterPolicy, `{` + cluster + `ingress: [{action: Deny, ` + from + `, protocols: [{destinationNamedPort: ""}]}]}`, `spec.ingress[0].protocols[0].destinationNamedPort: "" is no name`},
		{adminPolicy, `{` + admin + `egress: [{action: Deny, to: [` + strings.Repeat("{nodes: {}}, ", maxTerms) + `]}]}`, `spec.egress[0].to: the policy has more than 16384 rules, peers, ports and values`},
		{adminPolicy, `{` + admin + `egress: [{action: Deny, to: [{networks: [` + strings.Repeat("10.0.0.0/8, ", maxTerms) + `]}]}]}`, `spec.egress[0].to[0].networks: the policy has more than 16384 rules, peers, ports and values`},
		{adminPolicy, `{` + admin + `ingress: [{action: Deny, ` + from + `, ports: [` + strings.Repeat("{namedPort: a}, ", maxTerms) + `]}]}`, `spec.ingress[0].ports: the policy has more than 16384 rules, peers, ports and values`},
		{adminPolicy, `{` + admin + strings.Repeat("x", 1000) + `: 1}`, `spec: unknown field "` + strings.Repeat("x", 4*shown-len(`unknown field "`))},
	} {
		_, err := readAdmin(tt.kind, toJSON(t, tt.spec))
		if err == nil || err.Error() != tt.want {
			t.Errorf("%.200s: got %v, want %s", tt.spec, err, tt.want)
		}
	}
}

// toJSON is a text in YAML as JSON, nothing if it is empty.
func toJSON(t *testing.T, text string) []byte {
	t.Helper()
	if text == "" {
		return nil
	}
	var o any
	check(t, yaml.Unmarshal([]byte(text), &o))
	return asJSON(o)
}
