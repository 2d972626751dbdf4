package netpol

import (
	"context"
	"net/netip"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fovea-obs/fovea/hack/lab"
)

// denied is how long a connection is waited for that should not be.
const denied = 300 * time.Millisecond

// TestTraffic has real packets meet what is enforced. All that a policy may say is
// in the scripts of rulesets; here is what depends on the kernel.
func TestTraffic(t *testing.T) {
	n := newNetwork(t)
	for _, test := range []struct {
		name, spec string
		from       *lab.Namespace
		to         *lab.Pod
		call       func(ctx context.Context, from *lab.Namespace, to netip.Addr) error
		allowed    bool
	}{
		{name: "ingress, same node", spec: `{podSelector: {matchLabels: {app: web}}}`, from: n.client.NS, to: n.web, call: tcp},
		{name: "ingress, other node", spec: `{podSelector: {matchLabels: {app: db}}}`, from: n.client.NS, to: n.db, call: tcp},
		{name: "egress", spec: `{podSelector: {matchLabels: {app: client}}, policyTypes: [Egress]}`, from: n.client.NS, to: n.db, call: tcp},
		{name: "answers need no rule", spec: `{podSelector: {matchLabels: {app: db}}, policyTypes: [Egress]}`, from: n.client.NS, to: n.db, call: tcp, allowed: true},
		{name: "UDP is not TCP", spec: `{podSelector: {}, ingress: [{ports: [{protocol: TCP}]}]}`, from: n.client.NS, to: n.db, call: udp},
		{name: "UDP", spec: `{podSelector: {}, ingress: [{ports: [{protocol: UDP, port: 7}]}]}`, from: n.client.NS, to: n.db, call: udp, allowed: true},
		{name: "SCTP is not UDP", spec: `{podSelector: {}, ingress: [{ports: [{protocol: UDP}]}]}`, from: n.client.NS, to: n.db, call: sctp},
		{name: "SCTP", spec: `{podSelector: {}, ingress: [{ports: [{protocol: SCTP, port: 7}]}]}`, from: n.client.NS, to: n.db, call: sctp, allowed: true},
		{name: "ping", spec: `{podSelector: {}, ingress: [{ports: [{protocol: TCP}]}]}`, from: n.client.NS, to: n.db, call: ping},
		{name: "ping without ports", spec: `{podSelector: {}, ingress: [{}]}`, from: n.client.NS, to: n.db, call: ping, allowed: true},
		{name: "blocks of all", spec: `{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: "::/0", except: ["fd01::/16"]}}, {ipBlock: {cidr: 0.0.0.0/0, except: [10.2.0.0/16]}}]}]}`, from: n.client.NS, to: n.db, call: tcp, allowed: true},
		{name: "blocks with except", spec: `{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: "::/0", except: ["fd00::/16"]}}, {ipBlock: {cidr: 0.0.0.0/0, except: [10.1.0.0/16]}}]}]}`, from: n.client.NS, to: n.db, call: tcp},
		{name: "the pod's own node", spec: `{podSelector: {}}`, from: n.near.NS, to: n.web, call: tcp, allowed: true},
		{name: "another node", spec: `{podSelector: {}}`, from: n.near.NS, to: n.db, call: tcp},
	} {
		t.Run(test.name, func(t *testing.T) {
			n.enforce(t, "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: test, namespace: default}\nspec: "+test.spec)
			for _, to := range []netip.Addr{test.to.IPv4, test.to.IPv6} {
				wait := denied
				if test.allowed {
					wait = 10 * time.Second
				}
				ctx, cancel := context.WithTimeout(t.Context(), wait)
				if err := test.call(ctx, test.from, to); (err == nil) != test.allowed {
					t.Errorf("call %s: %v, want it allowed: %v", to, err, test.allowed)
				}
				cancel()
			}
		})
	}
}

func tcp(ctx context.Context, from *lab.Namespace, to netip.Addr) error {
	_, err := lab.TCPLoad{Target: netip.AddrPortFrom(to, 7)}.Run(ctx, from)
	return err
}

func udp(ctx context.Context, from *lab.Namespace, to netip.Addr) error {
	_, err := lab.UDPLoad{Target: netip.AddrPortFrom(to, 7), Bytes: 1}.Run(ctx, from)
	return err
}

func sctp(ctx context.Context, from *lab.Namespace, to netip.Addr) error {
	_, err := lab.SCTPLoad{Target: netip.AddrPortFrom(to, 7), SourcePort: 1000}.Run(ctx, from)
	return err
}

func ping(ctx context.Context, from *lab.Namespace, to netip.Addr) error {
	_, err := lab.Ping{Target: to, ID: 1}.Run(ctx, from)
	return err
}

// network is two nodes with pods, of which the servers answer at port 7.
type network struct {
	near, far       *lab.Node
	client, web, db *lab.Pod // the last is on far
	objects         Objects
}

func newNetwork(t *testing.T) *network {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: to make network namespaces")
	}
	l, err := lab.New()
	check(t, err)
	t.Cleanup(func() { check(t, l.Close()) })
	n := &network{}
	n.objects.Namespaces = []corev1.Namespace{{ObjectMeta: metav1.ObjectMeta{Name: "default"}}}
	n.near, err = l.AddNode("near")
	check(t, err)
	n.far, err = l.AddNode("far")
	check(t, err)
	n.client, n.web, n.db = n.add(t, n.near, "client"), n.add(t, n.near, "web"), n.add(t, n.far, "db")
	return n
}

// add adds a pod with servers.
func (n *network) add(t *testing.T, node *lab.Node, name string) *lab.Pod {
	t.Helper()
	p, err := node.AddPod(lab.PodSpec{Name: name})
	check(t, err)
	n.objects.Pods = append(n.objects.Pods, corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{"app": name}},
		Spec:       corev1.PodSpec{NodeName: node.Name},
		Status:     corev1.PodStatus{PodIPs: []corev1.PodIP{{IP: p.IPv4.String()}, {IP: p.IPv6.String()}}},
	})
	s, err := lab.ServeEcho(p.NS, ":7")
	check(t, err)
	t.Cleanup(func() { check(t, s.Close()) })
	u, err := lab.ServeUDPEcho(p.NS, ":7")
	check(t, err)
	t.Cleanup(func() { check(t, u.Close()) })
	for _, a := range []netip.Addr{p.IPv4, p.IPv6} {
		s, err := lab.ServeSCTP(p.NS, netip.AddrPortFrom(a, 7))
		check(t, err)
		t.Cleanup(func() { check(t, s.Close()) })
	}
	return p
}

// enforce has the nodes enforce policies, and no others.
func (n *network) enforce(t *testing.T, policies string) {
	t.Helper()
	o := n.objects
	o.add(t, policies)
	for _, node := range []*lab.Node{n.near, n.far} {
		check(t, Enforce(t.Context(), node.NS, node.Name, o))
	}
}
