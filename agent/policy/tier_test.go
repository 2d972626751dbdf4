package policy

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/fovea-obs/fovea/agent/endpoint"
)

func TestRefs(t *testing.T) {
	for want, tt := range map[string]struct {
		ref  Ref
		kind string
	}{
		"shop/deny":                          {Ref{Network, "shop", "deny"}, "NetworkPolicy"},
		"AdminNetworkPolicy strict":          {Ref{Admin, "", "strict"}, "AdminNetworkPolicy"},
		"BaselineAdminNetworkPolicy default": {Ref{Baseline, "", "default"}, "BaselineAdminNetworkPolicy"},
		"ClusterNetworkPolicy strict":        {Ref{ClusterAdmin, "", "strict"}, "ClusterNetworkPolicy"},
		"ClusterNetworkPolicy lax":           {Ref{ClusterBaseline, "", "lax"}, "ClusterNetworkPolicy"},
		" none":                              {Ref{ClusterBaseline + 1, "", "none"}, ""},
	} {
		if got, kind := tt.ref.String(), tt.ref.Kind.String(); got != want || kind != tt.kind {
			t.Errorf("got %q of kind %q, want %q", got, kind, want)
		}
	}
}

// TestOrder has policies of one tier that would each decide. The one that comes
// first in the table does.
func TestOrder(t *testing.T) {
	endpoints := endpoint.NewTable("prod")
	q := Query{Source: endpoints.Hold(shop("web")), Destination: endpoint.World, Protocol: tcp}
	for name, kinds := range map[string][]Kind{
		"admin":    {Admin, ClusterAdmin},
		"baseline": {Baseline, ClusterBaseline},
	} {
		table := NewTable(endpoints)
		var order []Ref
		for priority := range int32(3) {
			for _, kind := range kinds {
				for _, name := range []string{"a", "b"} {
					p := Policy{Ref: Ref{kind, "", name + fmt.Sprint(priority)}, Priority: priority}
					p.Egress = Part{Applies: true, Rules: []Rule{{Action: Deny}}}
					table.Set(p)
					order = append(order, p.Ref)
				}
			}
		}
		for _, r := range order {
			if by := table.At(table.Judge(q)).Egress.By; len(by) != 1 || by[0] != r {
				t.Errorf("%s: it is denied by %v, want %v", name, by, r)
			}
			table.Remove(r)
		}
	}
}

// TestDomains has a rule for domain names, which anybody may have.
func TestDomains(t *testing.T) {
	endpoints := endpoint.NewTable("prod")
	table := NewTable(endpoints)
	all := Peer{Block: &Block{Prefix: netip.MustParsePrefix("0.0.0.0/0")}}
	domains := func(a Action) Rule {
		return Rule{Action: a, Peers: []Peer{{Domains: true}}, Ports: []Port{{tcp, 443, 443, ""}}}
	}
	for name, tt := range map[string]struct {
		rules []Rule
		port  uint16
		want  string
	}{
		"before all are denied":  {[]Rule{domains(Allow), {Action: Deny, Peers: []Peer{all}}}, 443, "unknown"},
		"another port":           {[]Rule{domains(Allow), {Action: Deny, Peers: []Peer{all}}}, 80, "denied by p"},
		"before all are allowed": {[]Rule{domains(Allow), {Action: Allow, Peers: []Peer{all}}}, 443, "allowed"},
		"after all":              {[]Rule{{Action: Deny, Peers: []Peer{all}}, domains(Allow)}, 443, "denied by p"},
		"one of two peers":       {[]Rule{{Action: Deny, Peers: []Peer{{Domains: true}, all}}}, 443, "denied by p"},
	} {
		table.Set(Policy{Ref: Ref{ClusterAdmin, "", "p"}, Egress: Part{Applies: true, Rules: tt.rules}})
		for _, to := range []endpoint.Number{endpoint.World, endpoint.RemoteNode, endpoints.Hold(shop("db"))} {
			q := Query{Source: endpoints.Hold(shop("web")), Destination: to, DestinationAddr: netip.MustParseAddr("192.0.2.1"), Protocol: tcp, DestinationPort: tt.port}
			if got := told(table.At(table.Judge(q)).Egress); got != tt.want {
				t.Errorf("%s: to %s it is %s, want %s", name, endpoints.At(to), got, tt.want)
			}
		}
	}
}
