package kube

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/event"
	"github.com/fovea-obs/fovea/agent/policy"
	"github.com/fovea-obs/fovea/internal/kubeclient"
)

const (
	judgeClusters = 160
	judgeChanges  = 10 // of each cluster
	judgeCases    = 70 // after each change
)

// TestJudge has random clusters change, and holds what the tables say of random
// connections against the oracle and against a table that knows nothing else.
func TestJudge(t *testing.T) {
	met := map[string]int{}
	for seed := range uint64(judgeClusters) {
		c := newRandomCluster(t, rand.New(rand.NewPCG(seed, 1)), met)
		for range judgeChanges {
			c.change()
			c.judge(judgeCases)
			if t.Failed() {
				t.Fatalf("cluster %d", seed)
			}
		}
	}
	if met["cases"] < 100_000 {
		t.Errorf("%d cases", met["cases"])
	}
	for _, what := range []string{
		"allowed", "denied", "open", "undefined", "matchLabels", "In true", "In false", "NotIn true", "NotIn false", "Exists true", "Exists false",
		"DoesNotExist true", "DoesNotExist false", "all peers", "all ports", "ipBlock true", "ipBlock false",
		"ipBlock except false", "ipBlock IPv6 true", "ipBlock except IPv6 false", "podSelector true", "podSelector false",
		"namespaceSelector true", "namespaceSelector false", "both selectors true", "both selectors false",
		"all ports of a protocol true", "named port true", "named port false", "range of ports true",
		"range of ports false", "port true", "port false",
		"AdminNetworkPolicy Admin Allow", "AdminNetworkPolicy Admin Deny", "AdminNetworkPolicy Admin Pass",
		"BaselineAdminNetworkPolicy Baseline Allow", "BaselineAdminNetworkPolicy Baseline Deny",
		"ClusterNetworkPolicy Admin Accept", "ClusterNetworkPolicy Admin Deny", "ClusterNetworkPolicy Admin Pass",
		"ClusterNetworkPolicy Baseline Accept", "ClusterNetworkPolicy Baseline Deny", "ClusterNetworkPolicy Baseline Pass",
		"maybe", "peer namespaces true", "peer namespaces false", "peer pods true", "peer pods false", "peer nodes true",
		"peer nodes false", "peer networks true", "peer networks false", "port portNumber true", "port portNumber false",
		"port portRange true", "port portRange false", "port namedPort true", "port namedPort false",
		"port destinationNamedPort true", "port destinationNamedPort false", "port tcp true", "port tcp false",
		"port udp true", "port sctp false", "port tcp range true", "port tcp range false", "port udp range true",
	} {
		if met[what] < 100 {
			t.Errorf("%s: %d times", what, met[what])
		}
	}
	t.Log(met)
}

// randomCluster is objects, and the tables that a mirror fills with them.
type randomCluster struct {
	*testing.T
	*rand.Rand
	oracle
	endpoints *endpoint.Table
	judged    *policy.Table
	stores    map[string]kubeclient.Store
	now       int64
}

func newRandomCluster(t *testing.T, r *rand.Rand, met map[string]int) *randomCluster {
	c := &randomCluster{
		T: t, Rand: r, endpoints: endpoint.NewTable("prod"), stores: map[string]kubeclient.Store{}, now: 1,
		oracle: oracle{map[string]*corev1.Namespace{}, map[string]*corev1.Pod{}, map[string]*networkingv1.NetworkPolicy{}, map[string]document{}, met},
	}
	c.judged = policy.NewTable(c.endpoints)
	m := newMirror(mirrorConfig{
		cluster: "prod", self: "node1", endpoints: c.endpoints, judge: c.judged, policy: func(event.Policy) {},
		now: func() int64 { return c.now }, log: slog.New(slog.DiscardHandler),
	})
	for _, r := range m.resources(clients{}) {
		c.stores[r.Name] = r.Store
	}
	for _, n := range []string{"a", "b", "c"} {
		c.setNamespace(n)
		for i := range 3 {
			c.setPod(n, i)
		}
	}
	c.setNodes()
	for range 1 + r.IntN(6) {
		c.setPolicy()
	}
	for range r.IntN(4) {
		c.setAdmin()
	}
	return c
}

func (c *randomCluster) change() {
	c.now++
	ns := pick(c, "a", "b", "c")
	switch c.IntN(10) {
	case 0:
		c.setNamespace(ns)
	case 1:
		c.setPod(ns, c.IntN(3))
	case 2:
		for n, p := range c.policies {
			check(c, c.stores["networkpolicies"].Delete(p))
			delete(c.policies, n)
			break
		}
	case 3:
		// Numbers of what is behind no address any more are given again.
		c.judged.Release(func(policy.Number) bool { return c.IntN(2) == 0 })
		c.endpoints.Release(func(endpoint.Number) bool { return c.IntN(2) == 0 })
	case 4:
		c.removeAdmin()
	case 5, 6, 7:
		c.setAdmin()
	default:
		c.setPolicy()
	}
}

func pick[V any](c *randomCluster, of ...V) V { return of[c.IntN(len(of))] }

func (c *randomCluster) setNamespace(n string) {
	o := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: n, Labels: c.labels()}}
	o.Labels[corev1.LabelMetadataName] = n
	c.namespaces[n] = o
	check(c, c.stores["namespaces"].Update(o.DeepCopy()))
}

func (c *randomCluster) setPod(ns string, i int) {
	o := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: fmt.Sprint("pod-", i), Labels: c.labels()}}
	o.Status.PodIPs = []corev1.PodIP{{IP: fmt.Sprintf("10.1.%d.%d", ns[0]-'a', 1+i)}, {IP: fmt.Sprintf("fd00::%d:%d", ns[0]-'a', 1+i)}}
	var ports []corev1.ContainerPort
	for _, n := range []string{"web", "dns"} {
		if c.IntN(2) == 0 {
			ports = append(ports, corev1.ContainerPort{Name: n, ContainerPort: pick(c, int32(53), 80, 81, 8080), Protocol: c.protocol()})
		}
	}
	o.Spec.Containers = []corev1.Container{{}, {Ports: ports}}
	c.pods[ns+"/"+o.Name] = o
	check(c, c.stores["pods"].Update(o.DeepCopy()))
}

func (c *randomCluster) protocol() corev1.Protocol {
	return pick(c, "", corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)
}

func (c *randomCluster) labels() map[string]string {
	l := map[string]string{}
	for _, k := range []string{"app", "app.kubernetes.io/name", "ap"} {
		if c.IntN(3) > 0 {
			l[k] = pick(c, "x", "y", "")
		}
	}
	return l
}

func (c *randomCluster) selector() *metav1.LabelSelector {
	s := &metav1.LabelSelector{}
	key := func() string { return pick(c, "app", "app.kubernetes.io/name", "ap", "application") }
	if c.IntN(3) == 0 {
		s.MatchLabels = map[string]string{key(): pick(c, "x", "y", "")}
	}
	for range pick(c, 0, 0, 1, 1, 2) {
		e := metav1.LabelSelectorRequirement{Key: key(), Operator: pick(c, metav1.LabelSelectorOpIn, metav1.LabelSelectorOpNotIn,
			metav1.LabelSelectorOpExists, metav1.LabelSelectorOpDoesNotExist)}
		if e.Operator == metav1.LabelSelectorOpIn || e.Operator == metav1.LabelSelectorOpNotIn {
			e.Values = pick(c, []string{"x"}, []string{"y", ""}, []string{"x", "y"})
		}
		s.MatchExpressions = append(s.MatchExpressions, e)
	}
	return s
}

func (c *randomCluster) setPolicy() {
	o := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{
		Namespace: pick(c, "a", "b", "c"), Name: fmt.Sprint("p", c.IntN(4)), Generation: c.now, UID: "u",
	}}
	o.Spec.PodSelector = *c.selector()
	if c.IntN(3) == 0 {
		o.Spec.PodSelector = metav1.LabelSelector{}
	}
	in, out := networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress
	o.Spec.PolicyTypes = pick(c, nil, []networkingv1.PolicyType{in}, []networkingv1.PolicyType{out}, []networkingv1.PolicyType{out, in})
	for range c.IntN(3) {
		o.Spec.Ingress = append(o.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{From: c.peers(), Ports: c.ports()})
	}
	for range c.IntN(3) {
		o.Spec.Egress = append(o.Spec.Egress, networkingv1.NetworkPolicyEgressRule{To: c.peers(), Ports: c.ports()})
	}
	o.Generation = int64(c.Uint32())
	c.policies[o.Namespace+"/"+o.Name] = o
	check(c, c.stores["networkpolicies"].Update(o.DeepCopy()))
}

func (c *randomCluster) peers() (all []networkingv1.NetworkPolicyPeer) {
	if c.IntN(8) == 0 {
		return []networkingv1.NetworkPolicyPeer{}
	}
	for range c.IntN(4) {
		var p networkingv1.NetworkPolicyPeer
		switch c.IntN(4) {
		case 0:
			p.PodSelector = c.selector()
		case 1:
			p.NamespaceSelector = c.selector()
			if c.IntN(2) == 0 {
				p.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: pick(c, "a", "b")}}
			}
		case 2:
			p.PodSelector, p.NamespaceSelector = c.selector(), c.selector()
		default:
			p.IPBlock = pick(c,
				&networkingv1.IPBlock{CIDR: "172.17.0.0/16", Except: []string{"172.17.1.0/24", "172.17.2.2/32"}},
				&networkingv1.IPBlock{CIDR: "0.0.0.0/0", Except: []string{"10.0.0.0/8"}},
				&networkingv1.IPBlock{CIDR: "10.1.1.0/24"},
				&networkingv1.IPBlock{CIDR: "::/0"},
				&networkingv1.IPBlock{CIDR: "fd00::/16", Except: []string{"fd00::1:0/112"}})
		}
		all = append(all, p)
	}
	return all
}

func (c *randomCluster) ports() (all []networkingv1.NetworkPolicyPort) {
	for range pick(c, 0, 0, 1, 2, 3) {
		var p networkingv1.NetworkPolicyPort
		if protocol := c.protocol(); protocol != "" {
			p.Protocol = &protocol
		}
		at := intstr.FromInt32(pick(c, int32(53), 79, 80, 8080, 65535))
		switch c.IntN(4) {
		case 0:
		case 1:
			at = intstr.FromString(pick(c, "web", "dns"))
			p.Port = &at
		case 2:
			end := min(at.IntVal+pick(c, int32(0), 1, 1000), 65535)
			p.EndPort = &end
			fallthrough
		default:
			p.Port = &at
		}
		all = append(all, p)
	}
	return all
}

// end is a random end of a connection.
func (c *randomCluster) end(six bool) (*corev1.Pod, netip.Addr) {
	if c.IntN(4) == 0 {
		if !six && c.IntN(3) == 0 {
			return nil, nodeAddr
		}
		if six {
			return nil, netip.MustParseAddr(pick(c, "2001:db8::1", "fd00::1:9", "fd00:1::1"))
		}
		return nil, netip.MustParseAddr(pick(c, "172.17.1.9", "172.17.0.9", "172.17.2.2", "8.8.8.8", "::ffff:172.17.0.9"))
	}
	p := c.pods[fmt.Sprintf("%s/pod-%d", pick(c, "a", "b", "c"), c.IntN(3))]
	ip := p.Status.PodIPs[0].IP
	if six {
		ip = p.Status.PodIPs[1].IP
	}
	return p, netip.MustParseAddr(ip)
}

func (c *randomCluster) judge(cases int) {
	fresh := policy.NewTable(c.endpoints)
	for _, p := range c.sorted() {
		says, err := readPolicy(p)
		check(c, err)
		says.Ref = policy.Ref{Kind: policy.Network, Namespace: p.Namespace, Name: p.Name}
		fresh.Set(*says)
	}
	c.addAdmin(fresh)
	for range cases {
		six := c.IntN(3) == 0
		conn := connection{protocol: pick(c, uint8(6), 6, 6, 17, 132, 1), port: pick(c, uint16(1), 53, 79, 80, 81, 8080, 65535, 1079)}
		conn.from, conn.fromAddr = c.end(six)
		conn.to, conn.toAddr = c.end(six)
		if conn.to != nil && len(conn.to.Spec.Containers[1].Ports) > 0 && c.IntN(3) == 0 {
			named := conn.to.Spec.Containers[1].Ports[0]
			conn.port, conn.protocol = uint16(named.ContainerPort), c.number(named.Protocol)
		}
		q := policy.Query{
			Source: c.endpoints.Remote(conn.fromAddr, c.now), Destination: c.endpoints.Remote(conn.toAddr, c.now),
			SourceAddr: conn.fromAddr, DestinationAddr: conn.toAddr, Protocol: conn.protocol, DestinationPort: conn.port,
		}
		conn.fromAddr, conn.toAddr = conn.fromAddr.Unmap(), conn.toAddr.Unmap()
		want := [2][]string{c.say(&conn, false), c.say(&conn, true)}
		// The second time from the cache.
		for _, table := range []*policy.Table{c.judged, c.judged, fresh} {
			v := table.At(table.Judge(q))
			if got := [2]string{told(v.Egress), told(v.Ingress)}; !agrees(got[0], want[0]) || !agrees(got[1], want[1]) {
				c.Errorf("%+v: got %q, want %q", q, got, want)
			}
		}
		c.met["cases"]++
		for _, w := range want {
			what, _, _ := strings.Cut(w[0], " ")
			c.met[what]++
		}
	}
}

// say is what the oracle says; a pod may talk with itself, and other protocols
// are not defined.
func (c *randomCluster) say(conn *connection, inward bool) []string {
	if conn.from != nil && conn.from == conn.to {
		return []string{"open"}
	}
	all := c.tiers(conn, inward)
	if conn.protocol == 1 && all[0] != "open" {
		return []string{"undefined"}
	}
	return all
}

func told(d policy.Decision) string {
	switch {
	case d.Result == policy.Allowed && d.Selected:
		return fmt.Sprint("allowed by ", d.By)
	case d.Result == policy.Allowed:
		return "open"
	case d.Result == policy.Denied:
		return fmt.Sprint("denied by ", d.By)
	}
	return "undefined"
}
