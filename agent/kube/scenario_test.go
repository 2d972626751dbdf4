package kube

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/event"
	"github.com/fovea-obs/fovea/agent/policy"
	"github.com/fovea-obs/fovea/internal/kubeclient"
)

// scenario is a mirror that objects are put into, and what it tells.
type scenario struct {
	m      *mirror
	table  *endpoint.Table
	judged *policy.Table
	stores map[string]kubeclient.Store
	now    int64
	seen   []seen
	out    strings.Builder
}

// seen is who a flow was told to be of when it was seen.
type seen struct {
	ip     string
	at     int64
	number endpoint.Number
}

// TestScenarios runs the scripts in testdata. Their commands are
//
//	set at=time                  objects in YAML come or change
//	delete at=time               they go
//	list kind=kind at=time       they are all that there are of the kind
//	remote ip=address at=(times) who had the address at each time
//	await for=time               names may come so late
//	see ip=address at=(times)    a flow of the address is seen at each time
//	told                         of whom those are, as is known now
//	take                         services, nodes and API servers, if they changed
//	cluster                      as set, and says nothing
//	judge                        what policies say, source destination:port[/proto=protocol] a line, each a
//	                             namespace/pod or an address
//
// and print what the tables and the log are told. This node is node1.
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := newScenario()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			defer s.out.Reset()
			s.command(t, d)
			return s.out.String()
		})
	})
}

func newScenario() *scenario {
	s := &scenario{table: endpoint.NewTable("prod")}
	s.judged = policy.NewTable(s.table)
	log := slog.New(slog.NewTextHandler(&s.out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	s.m = newMirror(mirrorConfig{
		cluster: "prod", self: "node1", endpoints: s, judge: s.judged, policy: s.policy,
		now: func() int64 { return s.now }, log: log,
	})
	s.stores = map[string]kubeclient.Store{}
	for _, r := range s.m.resources(clients{}) {
		s.stores[r.Name] = r.Store
	}
	return s
}

// Set tells of a binding, and hands it on.
func (s *scenario) Set(key string, b endpoint.Binding, at int64) {
	fmt.Fprintf(&s.out, "set %s at %v: %s %v", key, time.Duration(at), b.Endpoint.String(), b.Addresses)
	for _, w := range b.Endpoint.Workloads {
		fmt.Fprintf(&s.out, " of %s %s", w.Kind, w.Name)
	}
	if b.Local {
		s.out.WriteString(" local")
	}
	if b.Leaving {
		s.out.WriteString(" leaving")
	}
	labels := slices.DeleteFunc(slices.Clone(b.Endpoint.Labels), func(l string) bool {
		return l == "k8s:io.cilium.k8s.policy.cluster=prod" || l == "k8s:io.kubernetes.pod.namespace="+b.Endpoint.Namespace
	})
	if missing := len(b.Endpoint.Labels) - len(labels); missing != 2 {
		fmt.Fprintf(&s.out, " with %d of the labels that all have", missing)
	}
	if len(labels) > 20 {
		fmt.Fprintf(&s.out, " %d labels", len(labels))
		labels = nil
	}
	for _, l := range labels {
		s.out.WriteString("\n  " + l)
	}
	s.out.WriteByte('\n')
	s.table.Set(key, b, at)
}

// Remove tells of a binding that ended, and hands it on.
func (s *scenario) Remove(key string, at int64) {
	fmt.Fprintf(&s.out, "remove %s at %v\n", key, time.Duration(at))
	s.table.Remove(key, at)
}

func (s *scenario) policy(p event.Policy) {
	fmt.Fprintf(&s.out, "policy %s/%s %s rules=%d gone=%v\n", p.Namespace, p.Name, p.UID, p.Rules, p.Gone)
}

func (s *scenario) command(t *testing.T, d *datadriven.TestData) {
	if d.Cmd != "remote" && d.Cmd != "see" && d.HasArg("at") {
		s.now = times(t, d, "at")[0]
	}
	switch d.Cmd {
	case "cluster", "set", "delete":
		for _, o := range objects(t, d.Input) {
			do := s.stores[resourceOf(o)].Update
			if d.Cmd == "delete" {
				do = s.stores[resourceOf(o)].Delete
			}
			check(t, do(o))
		}
		if d.Cmd == "cluster" {
			s.out.Reset()
		}
	case "judge":
		for line := range strings.Lines(d.Input) {
			s.judge(strings.TrimSpace(line))
		}
	case "list":
		var kind string
		d.ScanArgs(t, "kind", &kind)
		transform := s.stores[kind].Transformer()
		var all []any
		for _, o := range objects(t, d.Input) {
			kept, err := transform(o)
			check(t, err)
			all = append(all, kept)
		}
		check(t, s.stores[kind].Replace(all, "1"))
	case "remote":
		var ip string
		d.ScanArgs(t, "ip", &ip)
		for _, at := range times(t, d, "at") {
			fmt.Fprintf(&s.out, "%v: %s\n", time.Duration(at), s.table.At(s.table.Remote(netip.MustParseAddr(ip), at)))
		}
	case "await":
		s.table.Await(time.Duration(times(t, d, "for")[0]))
	case "see":
		var ip string
		d.ScanArgs(t, "ip", &ip)
		for _, at := range times(t, d, "at") {
			s.seen = append(s.seen, seen{ip, at, s.table.Remote(netip.MustParseAddr(ip), at)})
		}
	case "told":
		for _, f := range s.seen {
			fmt.Fprintf(&s.out, "%s at %v: %s\n", f.ip, time.Duration(f.at), s.table.At(f.number))
		}
	case "take":
		s.take()
	default:
		d.Fatalf(t, "unknown command")
	}
}

func (s *scenario) take() {
	due := s.m.take()
	var lines []string
	for f, n := range due.services {
		lines = append(lines, fmt.Sprintf("%s port %d protocol %d: %s/%s\n", f.Address, f.Port, f.Protocol, n.Namespace, n.Name))
	}
	slices.Sort(lines)
	if due.services != nil && len(lines) == 0 {
		lines = append(lines, "no services\n")
	}
	for _, n := range due.nodes {
		lines = append(lines, fmt.Sprintf("node %s %v\n", n.Name, n.Addresses))
	}
	if due.apiServers != nil {
		lines = append(lines, fmt.Sprintf("API servers %v\n", due.apiServers))
	}
	s.out.WriteString(strings.Join(lines, ""))
}

// judge says what policies say of a connection.
func (s *scenario) judge(line string) {
	source, to, _ := strings.Cut(line, " ")
	to, protocol, _ := strings.Cut(to, "/proto=")
	at := strings.LastIndex(to, ":")
	var q policy.Query
	fmt.Sscan(to[at+1:], &q.DestinationPort)
	q.Protocol = map[string]uint8{"": 6, "UDP": 17, "SCTP": 132, "ICMP": 1}[protocol]
	q.SourceAddr, q.DestinationAddr = s.address(source), s.address(to[:at])
	q.Source, q.Destination = s.table.Remote(q.SourceAddr, s.now), s.table.Remote(q.DestinationAddr, s.now)
	v := s.judged.At(s.judged.Judge(q))
	fmt.Fprintf(&s.out, "%s: %s", line, []string{"unknown", "allowed", "denied"}[v.Allowed()])
	for i, d := range []policy.Decision{v.Egress, v.Ingress} {
		if way := []string{"egress", "ingress"}[i]; d.Selected {
			fmt.Fprintf(&s.out, ", %s %s", way, told(d))
		}
	}
	s.out.WriteByte('\n')
}

// address is that of a pod of the cluster, or what the text says.
func (s *scenario) address(text string) netip.Addr {
	namespace, pod, isPod := strings.Cut(text, "/")
	if isPod {
		return s.m.pods[name{namespace, pod}].addresses[0]
	}
	return netip.MustParseAddr(text)
}

// objects are those of a text in YAML, of the API's types.
func objects(t *testing.T, text string) (all []any) {
	for doc := range strings.SplitSeq(text, "\n---\n") {
		var kind struct{ Kind string }
		check(t, yaml.Unmarshal([]byte(doc), &kind))
		var o any
		switch kind.Kind {
		case "":
			continue
		case "Pod":
			o = &corev1.Pod{}
		case "Namespace":
			o = &corev1.Namespace{}
		case "Service":
			o = &corev1.Service{}
		case "Node":
			o = &corev1.Node{}
		case "EndpointSlice":
			o = &discoveryv1.EndpointSlice{}
		case "NetworkPolicy":
			o = &networkingv1.NetworkPolicy{}
		case "AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy":
			o = &adminObject{}
		default:
			t.Fatalf("unknown kind %q", kind.Kind)
		}
		check(t, yaml.Unmarshal([]byte(doc), o))
		all = append(all, o)
	}
	return all
}

func resourceOf(o any) string {
	switch o := o.(type) {
	case *adminObject:
		for _, n := range adminNames() {
			if n.kind == o.Kind {
				return n.resource
			}
		}
	case *corev1.Pod:
		return "pods"
	case *corev1.Namespace:
		return "namespaces"
	case *corev1.Service:
		return "services"
	case *corev1.Node:
		return "nodes"
	case *discoveryv1.EndpointSlice:
		return "endpointslices"
	}
	return "networkpolicies"
}

func times(t *testing.T, d *datadriven.TestData, name string) (all []int64) {
	arg, _ := d.Arg(name)
	for _, v := range arg.Vals {
		at, err := time.ParseDuration(v)
		check(t, err)
		all = append(all, at.Nanoseconds())
	}
	return all
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
