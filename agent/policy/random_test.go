package policy

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/fovea-obs/fovea/agent/endpoint"
)

const (
	randomTables  = 150
	randomChanges = 10
	randomCases   = 40
)

// TestRandom holds policies of all kinds against a plain form of what they mean,
// while they change. Where an end is not known, what is said must be true whoever
// it is.
func TestRandom(t *testing.T) {
	met := map[string]int{}
	for seed := range uint64(randomTables) {
		r := &random{T: t, Rand: rand.New(rand.NewPCG(seed, 2)), met: met, policies: map[Ref]Policy{}}
		r.begin()
		for range randomChanges {
			r.change()
			for range randomCases {
				r.judge()
			}
			if t.Failed() {
				t.Fatalf("table %d", seed)
			}
		}
	}
	for _, what := range []string{"admin allowed", "admin denied", "network allowed", "network denied", "baseline allowed",
		"baseline denied", "cluster admin allowed", "cluster admin denied", "cluster baseline allowed", "cluster baseline denied",
		"nobody allowed", "unnamed known", "unnamed unknown", "early known", "early unknown"} {
		if met[what] < 100 {
			t.Errorf("%s: %d times", what, met[what])
		}
	}
	t.Log(met)
}

type random struct {
	*testing.T
	*rand.Rand
	met       map[string]int
	endpoints *endpoint.Table
	table     *Table
	policies  map[Ref]Policy
	everybody []*somebody
}

func (r *random) begin() {
	r.endpoints = endpoint.NewTable("prod")
	r.table = NewTable(r.endpoints)
	for _, ns := range []string{"a", "b"} {
		theirs := map[string]string{nameLabel: ns}
		if r.IntN(2) == 0 {
			theirs["team"] = some(r, "x", "y")
		}
		for i := range 3 {
			s := &somebody{namespace: ns, name: fmt.Sprint(ns, i), labels: map[string]string{}, ofTheirs: theirs}
			if r.IntN(4) > 0 {
				s.labels["app"] = some(r, "x", "y")
			}
			if r.IntN(2) == 0 {
				s.ports = []endpoint.Port{{Name: "web", Number: 80, Protocol: some(r, uint8(tcp), udp)}}
			}
			s.addr = netip.AddrFrom4([4]byte{10, 1, ns[0], byte(i)})
			s.number = r.endpoints.Hold(s.endpoint())
			r.everybody = append(r.everybody, s)
		}
	}
	r.everybody = append(r.everybody,
		&somebody{addr: netip.MustParseAddr("192.0.2.1"), number: endpoint.World},
		&somebody{addr: netip.MustParseAddr("10.0.0.1"), number: endpoint.RemoteNode, isNode: true})
}

func some[V any](r *random, of ...V) V { return of[r.IntN(len(of))] }

func (r *random) change() {
	kind := Kind(r.IntN(int(ClusterBaseline) + 1))
	p := Policy{Ref: Ref{Kind: kind, Name: fmt.Sprint("np", r.IntN(3))}}
	switch kind {
	case Admin:
		p.Name = fmt.Sprint("anp", r.IntN(3))
		p.Priority = int32(r.IntN(3))
	case Network:
		p.Namespace = some(r, "a", "b")
	case ClusterAdmin, ClusterBaseline:
		p.Name = fmt.Sprintf("cnp%d-%d", kind, r.IntN(3))
		p.Priority = int32(r.IntN(3))
	case Baseline:
		p.Name = "default"
	}
	switch r.IntN(8) {
	case 0:
		r.table.Remove(p.Ref)
		delete(r.policies, p.Ref)
		return
	case 1:
		var all []Policy
		for _, old := range r.policies {
			if old.Kind == kind && r.IntN(2) == 0 {
				delete(r.policies, old.Ref)
			} else if old.Kind == kind {
				all = append(all, old)
			}
		}
		r.table.Replace(kind, all)
		return
	}
	p.Subject = r.pods(p.Namespace)
	p.Ingress, p.Egress = r.part(p.Ref), r.part(p.Ref)
	r.table.Set(p)
	r.policies[p.Ref] = p
}

func (r *random) part(of Ref) (p Part) {
	p.Applies = r.IntN(3) > 0
	for range r.IntN(3) {
		var rule Rule
		switch of.Kind {
		case Admin, ClusterAdmin, ClusterBaseline:
			rule.Action = some(r, Allow, Deny, Pass)
		case Baseline:
			rule.Action = some(r, Allow, Deny)
		}
		for range r.IntN(3) {
			var peer Peer
			switch r.IntN(5) {
			case 0:
				peer.Block = &Block{netip.MustParsePrefix("10.0.0.0/8"), []netip.Prefix{netip.MustParsePrefix("10.1.97.0/24")}}
			case 1:
				peer.Nodes = &Selector{}
			default:
				pods := r.pods(some(r, "", of.Namespace))
				peer.Pods = &pods
			}
			rule.Peers = append(rule.Peers, peer)
		}
		for range r.IntN(3) {
			rule.Ports = append(rule.Ports, some(r, Port{Name: "web"}, Port{First: 80, Last: 90}, Port{tcp, 0, 65535, ""}, Port{udp, 53, 53, ""}))
		}
		p.Rules = append(p.Rules, rule)
	}
	return p
}

func (r *random) pods(namespace string) Pods {
	p := Pods{Namespace: namespace, Pods: r.selector("app")}
	if namespace == "" {
		p.Namespaces = r.selector(some(r, "team", nameLabel))
	}
	return p
}

func (r *random) selector(key string) Selector {
	if r.IntN(3) == 0 {
		return nil
	}
	return Selector{{key, some(r, In, NotIn, Exists, DoesNotExist), []string{some(r, "x", "y", "a")}}}
}

func (r *random) judge() {
	from, to := some(r, r.everybody...), some(r, r.everybody...)
	if from == to {
		return
	}
	q := Query{from.number, to.number, from.addr, to.addr, some(r, uint8(tcp), udp), some(r, uint16(80), 85, 53, 1)}
	var all []Policy
	for _, p := range r.policies {
		all = append(all, p)
	}
	want := [2]string{
		plain(all, false, from, to, to, q.Protocol, q.DestinationPort),
		plain(all, true, to, from, to, q.Protocol, q.DestinationPort),
	}
	v := r.table.At(r.table.Judge(q))
	got := [2]string{told(v.Egress), told(v.Ingress)}
	if got != want {
		r.Errorf("%s to %s, %+v: got %q, want %q", from.name, to.name, q, got, want)
	}
	for i, d := range []Decision{v.Egress, v.Ingress} {
		kind := "nobody"
		if len(d.By) > 0 {
			kind = []string{"admin", "cluster admin", "network", "baseline", "cluster baseline"}[d.By[0].Kind]
		}
		result, _, _ := strings.Cut(got[i], " ")
		r.met[kind+" "+result]++
	}
	r.less("unnamed", q, endpoint.Unknown, endpoint.Unknown, from, to, want)
	r.less("early", q, r.early(from), r.early(to), from, to, want)
}

// early is the number of what a container runtime knows of a pod.
func (r *random) early(s *somebody) endpoint.Number {
	if s.name == "" {
		return s.number
	}
	less := *s
	less.ofTheirs, less.ports = nil, nil
	return r.endpoints.Hold(less.endpoint())
}

// less has one end told with less of what is known, and holds that what is said
// nevertheless is true.
func (r *random) less(how string, q Query, source, destination endpoint.Number, from, to *somebody, want [2]string) {
	if r.IntN(2) == 0 {
		q.Source = source
	} else {
		q.Destination = destination
	}
	v := r.table.At(r.table.Judge(q))
	for i, d := range []Decision{v.Egress, v.Ingress} {
		result, _, _ := strings.Cut(want[i], " ")
		got := []string{"unknown", "allowed", "denied"}[d.Result]
		if d.Result == Unknown {
			r.met[how+" unknown"]++
			continue
		}
		r.met[how+" known"]++
		// Those that may allow it are not named.
		if got != result || d.Result == Denied && len(d.By) > 0 && told(d) != want[i] {
			r.Errorf("%s to %s with less known: got %q, and it is %q", from.name, to.name, told(d), want[i])
		}
	}
}
