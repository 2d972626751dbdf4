package policy

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"

	"github.com/fovea-obs/fovea/agent/endpoint"
)

// deny isolates all pods of shop that a selector selects, in both directions.
func deny(name string, pods Selector) Policy {
	return Policy{
		Ref: Ref{Network, "shop", name}, Subject: Pods{Namespace: "shop", Pods: pods},
		Ingress: Part{Applies: true}, Egress: Part{Applies: true},
	}
}

// shop is a pod of the shop, whose namespace's labels are known.
func shop(name string) endpoint.Endpoint {
	return endpoint.ForLabels("prod", "shop", name, []string{"k8s:app=" + name, namespacePart + nameLabel + "=shop"}, nil)
}

func TestExempt(t *testing.T) {
	endpoints := endpoint.NewTable("prod")
	table := NewTable(endpoints)
	at := netip.MustParseAddr("10.1.0.1")
	endpoints.LinkUp(7, "veth7")
	endpoints.Set("web", endpoint.Binding{Endpoint: shop("web"), Interface: "veth7", Addresses: []netip.Addr{at}}, 0)
	here, there := endpoints.Local(7), endpoints.Hold(shop("there"))
	changed := shop("web")
	changed.Labels = append(changed.Labels, "k8s:version=2")
	pods := endpoints.Hold(changed)
	service := endpoints.Hold(endpoint.ForService("prod", "shop", "web"))
	table.Set(deny("deny", nil))
	for name, tt := range map[string]struct {
		source, destination endpoint.Number
		want                string
	}{
		"a pod and itself":               {here, here, "allowed, allowed"},
		"a pod and its other version":    {here, pods, "allowed, allowed"},
		"its node to a pod":              {endpoint.Host, here, "allowed, allowed"},
		"a pod to its node":              {here, endpoint.Host, "allowed, allowed"},
		"this node to a pod elsewhere":   {endpoint.Host, there, "allowed, denied by deny"},
		"another node to a pod":          {endpoint.RemoteNode, here, "allowed, denied by deny"},
		"a pod to another node":          {here, endpoint.RemoteNode, "denied by deny, allowed"},
		"a pod to the world":             {here, endpoint.World, "denied by deny, allowed"},
		"the world to itself":            {endpoint.World, endpoint.World, "allowed, allowed"},
		"nobody known to a pod":          {endpoint.Unknown, here, "unknown, denied by deny"},
		"a pod to nobody known":          {here, endpoint.Unknown, "denied by deny, unknown"},
		"a pod to a Service":             {here, service, "denied by deny, unknown"},
		"a number that is nobody's":      {1 << 31, here, "unknown, denied by deny"},
		"nobody known to nobody known":   {endpoint.Unknown, endpoint.Unknown, "unknown, unknown"},
		"a pod of no name to the world":  {endpoints.Hold(endpoint.Endpoint{Identity: 999}), endpoint.World, "allowed, allowed"},
		"a pod elsewhere to this node's": {there, here, "denied by deny, denied by deny"},
	} {
		v := table.At(table.Judge(Query{Source: tt.source, Destination: tt.destination, Protocol: tcp, DestinationPort: 80}))
		if got := told(v.Egress) + ", " + told(v.Ingress); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
	// Nobody is isolated by now, whoever it is.
	table.Remove(Ref{Network, "shop", "deny"})
	if n := table.Judge(Query{Source: endpoint.Unknown, Destination: here, Protocol: tcp}); n != Open {
		t.Errorf("without policies, the verdict is %+v", table.At(n))
	}
}

// TestService has a port of a Service, which says nothing of the pod's.
func TestService(t *testing.T) {
	endpoints := endpoint.NewTable("prod")
	table := NewTable(endpoints)
	q := Query{
		Source: endpoints.Hold(shop("web")), Destination: endpoints.Hold(endpoint.ForService("prod", "shop", "db")),
		DestinationAddr: netip.MustParseAddr("10.96.0.1"), Protocol: tcp, DestinationPort: 80,
	}
	block := &Block{Prefix: netip.MustParsePrefix("10.96.0.0/16")}
	for name, tt := range map[string]struct {
		rule Rule
		want Result
	}{
		"all":               {Rule{}, Allowed},
		"a port":            {Rule{Ports: []Port{{tcp, 80, 80, ""}}}, Unknown},
		"another port":      {Rule{Ports: []Port{{tcp, 81, 81, ""}}}, Unknown},
		"a named port":      {Rule{Ports: []Port{{tcp, 0, 0, "web"}}}, Unknown},
		"all ports":         {Rule{Ports: []Port{{tcp, 0, 65535, ""}}}, Allowed},
		"another protocol":  {Rule{Ports: []Port{{udp, 0, 65535, ""}}}, Denied},
		"a block":           {Rule{Peers: []Peer{{Block: block}}}, Unknown},
		"its namespace":     {Rule{Peers: []Peer{{Pods: &Pods{Namespace: "shop"}}}}, Unknown},
		"another namespace": {Rule{Peers: []Peer{{Pods: &Pods{Namespace: "bank"}}}}, Denied},
		"nodes":             {Rule{Peers: []Peer{{Nodes: &Selector{}}}}, Denied},
		"nobody":            {Rule{Peers: []Peer{{}}}, Denied},
	} {
		p := deny("p", nil)
		p.Egress.Rules = []Rule{tt.rule}
		table.Set(p)
		if got := table.At(table.Judge(q)).Egress; got.Result != tt.want || !got.Selected {
			t.Errorf("%s: %+v, want %v", name, got, tt.want)
		}
	}
}

// TestRelease has verdicts forgotten, and their numbers given again.
func TestRelease(t *testing.T) {
	endpoints := endpoint.NewTable("prod")
	table := NewTable(endpoints)
	web, db := endpoints.Hold(shop("web")), endpoints.Hold(shop("db"))
	q := Query{Source: web, Destination: db, Protocol: tcp}
	for round := range 5000 {
		name := fmt.Sprint("deny-", round)
		table.Set(deny(name, nil))
		n := table.Judge(q)
		if got := told(table.At(n).Ingress); got != "denied by "+name {
			t.Fatalf("round %d: %s", round, got)
		}
		table.Remove(Ref{Network, "shop", name})
		if table.Grown() {
			table.Release(func(v Number) bool { return v == n })
			if got := told(table.At(n).Ingress); got != "denied by "+name {
				t.Fatalf("round %d, kept: %s", round, got)
			}
		}
	}
	if table.Len() > 2048 || len(table.terms.byKey) != 0 || table.terms.next > 2 || len(table.ports.counts) != 0 || len(table.byNamespace) != 0 {
		t.Errorf("%d verdicts, %d of %d terms, %d ports", table.Len(), len(table.terms.byKey), table.terms.next, len(table.ports.counts))
	}
	if got := *table.At(1 << 30); got.Allowed() != Unknown || got.Egress.Selected {
		t.Errorf("a number of nothing is %+v", got)
	}
}

// TestNumbers has a number stand for another endpoint, as it does when it is given
// again and when who it was is told late.
func TestNumbers(t *testing.T) {
	endpoints := endpoint.NewTable("prod")
	table := NewTable(endpoints)
	table.Set(deny("deny", Selector{{"app", In, []string{"web"}}}))
	want := func(n endpoint.Number, is string) {
		t.Helper()
		v := table.At(table.Judge(Query{Source: endpoint.World, Destination: n, Protocol: tcp}))
		if got := told(v.Ingress); got != is {
			t.Errorf("%s is %s, want %s", endpoints.At(n), got, is)
		}
	}
	n := endpoints.Hold(shop("web"))
	want(n, "denied by deny")
	endpoints.Drop(n)
	endpoints.Release(func(endpoint.Number) bool { return false })
	want(n, "unknown")
	if again := endpoints.Hold(shop("db")); again != n {
		t.Fatalf("number %d is given, and not %d", again, n)
	}
	want(n, "allowed")
	endpoints.Drop(n)
	endpoints.Release(func(endpoint.Number) bool { return false })
	table.Release(func(Number) bool { return false })
	if m := table.members[n]; m != nil {
		t.Errorf("%s is remembered", m.endpoint)
	}

	early := endpoint.ForLabels("prod", "shop", "late", []string{"k8s:app=late"}, nil)
	at := netip.MustParseAddr("10.1.0.1")
	endpoints.Suggest("late", endpoint.Binding{Endpoint: early, Addresses: []netip.Addr{at}}, 0)
	n = endpoints.Remote(at, 1)
	want(n, "allowed")
	endpoints.Set("late", endpoint.Binding{Endpoint: shop("web"), Addresses: []netip.Addr{at}}, 0)
	want(n, "denied by deny")
}

// TestMany has more policies than a verdict names.
func TestMany(t *testing.T) {
	endpoints := endpoint.NewTable("prod")
	table := NewTable(endpoints)
	for i := range 100 {
		table.Set(deny(fmt.Sprintf("deny-%02d", i), nil))
	}
	v := table.At(table.Judge(Query{Source: endpoint.World, Destination: endpoints.Hold(shop("web")), Protocol: sctp}))
	if by := v.Ingress.By; len(by) != maxNamed || by[0].String() != "shop/deny-00" || by[maxNamed-1].String() != "shop/deny-15" {
		t.Errorf("by %v", by)
	}
}

// TestManyTerms has one policy with many peers take the place of another.
func TestManyTerms(t *testing.T) {
	endpoints := endpoint.NewTable("prod")
	table := NewTable(endpoints)
	q := Query{Source: endpoints.Hold(shop("web")), Destination: endpoints.Hold(shop("db")), Protocol: tcp}
	for round := range 10 {
		p := deny("p", nil)
		p.Egress.Applies = false
		var peers []Peer
		for i := range 2 * fewTerms {
			value := fmt.Sprint(round, "-", i)
			if round%2 == 0 && i == round {
				value = "web"
			}
			peers = append(peers, Peer{Pods: &Pods{Namespace: "shop", Pods: Selector{{"app", In, []string{value}}}}})
		}
		p.Ingress.Rules = []Rule{{Peers: peers}}
		table.Set(p)
		if got, want := table.At(table.Judge(q)).Allowed() == Allowed, round%2 == 0; got != want {
			t.Errorf("round %d: allowed %v, want %v", round, got, want)
		}
	}
}

func TestOwnLabels(t *testing.T) {
	e := endpoint.ForLabels("prod", "shop", "web", []string{
		"k8s:app=web", "k8s:io.kubernetes.pod.namespace=shop", "k8s:io.cilium.k8s.policy.cluster=prod", "k8s:empty=", "k8s:app.x=y",
	}, nil)
	for _, tt := range []struct {
		r    Requirement
		want bool
	}{
		{Requirement{"app", In, []string{"web"}}, true},
		{Requirement{"ap", Exists, nil}, false},
		{Requirement{"app.x", In, []string{"y"}}, true},
		{Requirement{"empty", In, []string{""}}, true},
		{Requirement{"empty", Exists, nil}, true},
		{Requirement{"missing", NotIn, []string{""}}, true},
		{Requirement{"missing", In, []string{""}}, false},
		{Requirement{"app", In, nil}, false},
		{Requirement{"app", NotIn, nil}, true},
		{Requirement{"app", DoesNotExist + 1, nil}, false},
		{Requirement{"io.kubernetes.pod.namespace", Exists, nil}, false},
		{Requirement{"io.cilium.k8s.policy.cluster", NotIn, []string{"prod"}}, true},
	} {
		if got := podMatches(podRequirements(Selector{tt.r}), &e); got != tt.want {
			t.Errorf("%+v: %v", tt.r, got)
		}
	}
}

func TestBoundaries(t *testing.T) {
	b := boundaries{counts: map[uint16]int{}}
	floors := func(want ...uint16) {
		t.Helper()
		for i, port := range []uint16{0, 79, 80, 90, 91, 65535} {
			if got := b.floor(port); got != want[i] {
				t.Errorf("%d: %d, want %d", port, got, want[i])
			}
		}
	}
	floors(0, 0, 0, 0, 0, 0)
	b.add(Port{First: 80, Last: 90}, 1)
	b.add(Port{First: 80, Last: 65535}, 1)
	floors(0, 0, 80, 80, 91, 91)
	b.add(Port{First: 80, Last: 90}, -1)
	floors(0, 0, 80, 80, 80, 80)
	b.add(Port{First: 80, Last: 65535}, -1)
	floors(0, 0, 0, 0, 0, 0)
}

func TestAllocations(t *testing.T) {
	endpoints := endpoint.NewTable("prod")
	table := NewTable(endpoints)
	p := deny("deny", nil)
	p.Ingress.Rules = []Rule{{Peers: []Peer{{Block: &Block{Prefix: netip.MustParsePrefix("::/0")}}}}}
	table.Set(p)
	q := Query{endpoints.Hold(shop("web")), endpoints.Hold(shop("db")), netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2"), tcp, 80}
	first := table.Judge(q)
	if n := testing.AllocsPerRun(100, func() { table.Judge(q) }); n != 0 || table.Judge(q) != first {
		t.Errorf("%v allocations for a verdict that is known", n)
	}
}

// TestConcurrent has one goroutine write, one judge and one read.
func TestConcurrent(t *testing.T) {
	endpoints := endpoint.NewTable("prod")
	table := NewTable(endpoints)
	web, db := endpoints.Hold(shop("web")), endpoints.Hold(shop("db"))
	table.Set(deny("deny", nil))
	var running sync.WaitGroup
	running.Go(func() {
		for i := range 500 {
			table.Set(deny("deny", Selector{{"app", In, []string{[]string{"web", "db"}[i%2]}}}))
			if i%10 == 0 {
				table.Replace(Network, []Policy{deny("deny", nil)})
			}
		}
	})
	running.Go(func() {
		for range 2000 {
			v := table.At(table.Judge(Query{Source: web, Destination: db, Protocol: tcp}))
			if v.Allowed() != Denied {
				t.Errorf("verdict %+v", v)
				return
			}
		}
	})
	running.Wait()
}
