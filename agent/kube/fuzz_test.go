package kube

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/event"
	"github.com/fovea-obs/fovea/agent/policy"
	"github.com/fovea-obs/fovea/agent/service"
	"github.com/fovea-obs/fovea/internal/kubeclient"
)

// apiObject is an object of the API, which may come in either form.
type apiObject interface {
	metav1.Object
	Marshal() ([]byte, error)
	Unmarshal([]byte) error
}

// kinds are those that are followed, in a fixed order.
var kinds = []struct {
	resource string
	empty    func() apiObject
}{
	{"pods", func() apiObject { return &corev1.Pod{} }},
	{"namespaces", func() apiObject { return &corev1.Namespace{} }},
	{"services", func() apiObject { return &corev1.Service{} }},
	{"nodes", func() apiObject { return &corev1.Node{} }},
	{"endpointslices", func() apiObject { return &discoveryv1.EndpointSlice{} }},
	{"networkpolicies", func() apiObject { return &networkingv1.NetworkPolicy{} }},
	{"adminnetworkpolicies", func() apiObject { return &onlyJSON{} }},
	{"baselineadminnetworkpolicies", func() apiObject { return &onlyJSON{} }},
	{"clusternetworkpolicies", func() apiObject { return &onlyJSON{} }},
}

// onlyJSON is an object that has no other form.
type onlyJSON struct{ adminObject }

func (o *onlyJSON) Marshal() ([]byte, error) { return json.Marshal(&o.adminObject) }

func (o *onlyJSON) Unmarshal(raw []byte) error { return json.Unmarshal(raw, &o.adminObject) }

// toStore is what a store is given of an object.
func toStore(o apiObject) any {
	if o, ok := o.(*onlyJSON); ok {
		return &o.adminObject
	}
	return o
}

// mirrored is a mirror with the tables that it fills, and what may be told them.
type mirrored struct {
	*testing.T
	endpoints *endpoint.Table
	services  *service.Table
	policies  *policy.Table
	m         *mirror
	stores    map[string]kubeclient.Store
	now       int64
	// size is how many bytes all objects have together.
	size int
}

func newMirrored(t *testing.T) *mirrored {
	s := &mirrored{T: t, endpoints: endpoint.NewTable("prod"), now: int64(1e18)}
	s.endpoints.Await(time.Second)
	s.services = service.NewTable("prod", s.endpoints)
	s.policies = policy.NewTable(s.endpoints)
	s.m = newMirror(mirrorConfig{
		cluster: "prod", self: "node1", endpoints: s, judge: s.policies, policy: s.policy, now: func() int64 { return s.now },
		log: slog.New(slog.DiscardHandler),
	})
	s.stores = map[string]kubeclient.Store{}
	for _, r := range s.m.resources(clients{}) {
		s.stores[r.Name] = r.Store
	}
	return s
}

// Set checks what is told of a pod, and hands it on.
func (s *mirrored) Set(key string, b endpoint.Binding, at int64) {
	if at < 0 || at > s.now {
		s.Errorf("told of time %d at %d", at, s.now)
	}
	if n := len(b.Addresses); n == 0 || n > maxAddresses {
		s.Errorf("%d addresses", n)
	}
	e, bytes, clusters := b.Endpoint, 0, 0
	for _, l := range e.Labels {
		bytes += len(l)
		if strings.HasPrefix(l, "k8s:"+clusterLabel+"=") {
			clusters++
		}
	}
	for _, w := range e.Workloads {
		bytes += len(w.Kind) + len(w.Name)
		if !utf8.ValidString(w.Kind + w.Name) {
			s.Errorf("workload %q", w)
		}
	}
	// Each label has a prefix of at most some 40 bytes.
	if most := s.size + 40*len(e.Labels) + 256; bytes > most || len(e.Labels) > 2*maxLabels+3 {
		s.Errorf("%d labels and workloads of %d bytes, of objects of %d", len(e.Labels), bytes, s.size)
	}
	if clusters != 1 || !slices.IsSorted(e.Labels) {
		s.Errorf("labels %q", e.Labels)
	}
	s.endpoints.Set(key, b, at)
	for _, a := range b.Addresses {
		s.checkAddress(a)
		who := s.endpoints.At(s.endpoints.Remote(a, s.now))
		if who.Pod != "" && (who.Pod != e.Pod || who.Namespace != e.Namespace) {
			s.Errorf("%v of %s is told as %s's", a, e.String(), who)
		}
	}
}

// Remove hands on.
func (s *mirrored) Remove(key string, at int64) { s.endpoints.Remove(key, at) }

func (s *mirrored) policy(p event.Policy) {
	if p.Rules < 0 {
		s.Errorf("policy with %d rules", p.Rules)
	}
}

func (s *mirrored) checkAddress(a netip.Addr) {
	if !a.IsValid() || a.Zone() != "" || a != a.Unmap() || a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() {
		s.Errorf("address %v", a)
	}
}

// take has the tables told what is told to them from time to time.
func (s *mirrored) take() {
	d := s.m.take()
	for _, n := range d.nodes {
		if len(n.Addresses) > maxAddresses || len(n.Pods) > maxRanges {
			s.Errorf("a node with %d addresses and %d ranges", len(n.Addresses), len(n.Pods))
		}
	}
	if d.nodes != nil {
		s.endpoints.SetNodes("node1", d.nodes)
	}
	if d.apiServers != nil {
		s.endpoints.SetAPIServers(d.apiServers)
	}
	for f := range d.services {
		if f.Port == 0 || f.Protocol == 0 {
			s.Errorf("frontend %v", f)
		}
	}
	if len(d.services) > 2*maxFrontends {
		s.Errorf("%d frontends of two services", len(d.services))
	}
	if d.services != nil {
		s.services.Replace(d.services)
	}
	s.judge()
}

// judge has the policies asked of a connection of the seeds' pod.
func (s *mirrored) judge() {
	q := policy.Query{
		SourceAddr: netip.MustParseAddr("192.0.2.9"), DestinationAddr: netip.MustParseAddr("10.1.0.2"),
		Protocol: 6, DestinationPort: 80,
	}
	q.Source, q.Destination = s.endpoints.Remote(q.SourceAddr, s.now), s.endpoints.Remote(q.DestinationAddr, s.now)
	v := s.policies.At(s.policies.Judge(q))
	for _, d := range []policy.Decision{v.Egress, v.Ingress} {
		if !d.Selected && len(d.By) > 0 || d.Result == policy.Denied && len(d.By) == 0 {
			s.Errorf("decision %+v", d)
		}
	}
}

// FuzzObjects has two objects of any kinds come, change, be all that there are,
// and go.
func FuzzObjects(f *testing.F) {
	for i, o := range seeds() {
		text, err := json.Marshal(o)
		check(f, err)
		raw, err := o.Marshal()
		check(f, err)
		f.Add(uint8(i), uint8(i), true, text, text)
		f.Add(uint8(i), uint8(0), false, raw, raw)
	}
	f.Fuzz(func(t *testing.T, first, second uint8, isJSON bool, a, b []byte) {
		s := newMirrored(t)
		var all []apiObject
		var stores []kubeclient.Store
		for i, raw := range [][]byte{a, b} {
			kind := kinds[int([]uint8{first, second}[i])%len(kinds)]
			o := kind.empty()
			decode := o.Unmarshal
			if isJSON {
				decode = func(raw []byte) error { return json.Unmarshal(raw, o) }
			}
			// The API gives no object another name than it allows.
			if decode(raw) != nil || !isName(o.GetName()) || !utf8.ValidString(o.GetNamespace()) {
				return
			}
			all, stores = append(all, o), append(stores, s.stores[kind.resource])
			s.size += len(raw)
		}
		for range 2 {
			for i, o := range all {
				check(t, stores[i].Update(toStore(o)))
				s.now++
			}
			s.take()
		}
		for i, st := range stores {
			var list []any
			for j, o := range all {
				if stores[j] == st {
					list = append(list, toStore(o))
				}
			}
			check(t, st.Replace(list, "1"))
			s.now++
			if i == 0 {
				s.take()
			}
		}
		for i, o := range all {
			check(t, stores[i].Delete(toStore(o)))
			s.now++
		}
		s.take()
		if pods, services, nodes := s.m.counts(); pods+services+nodes > 0 {
			t.Errorf("%d pods, %d services and %d nodes are left", pods, services, nodes)
		}
		if n := len(s.m.policies); n > 0 || s.policies.Judge(policy.Query{}) != policy.Open {
			t.Errorf("%d policies are left, or said so", n)
		}
	})
}

// seeds are an object of each kind that has all that is looked at.
func seeds() []apiObject {
	first, last, named := intstr.FromInt32(80), int32(81), intstr.FromString("http")
	yes, meta := true, metav1.ObjectMeta{Namespace: "shop", Name: "web-5d8f-abcde", UID: "u", Labels: map[string]string{"app": "web"}}
	pod := &corev1.Pod{ObjectMeta: meta}
	pod.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "web-5d8f", Controller: &yes}}
	pod.Spec = corev1.PodSpec{NodeName: "node1", ServiceAccountName: "web", Containers: []corev1.Container{
		{Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 80}}},
	}}
	pod.Status = corev1.PodStatus{
		Phase: corev1.PodRunning, PodIP: "10.1.0.2", PodIPs: []corev1.PodIP{{IP: "10.1.0.2"}, {IP: "fd00::2"}},
		StartTime: &metav1.Time{Time: time.Unix(1_000_000_000, 0)},
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node1"}}
	node.Spec.PodCIDRs = []string{"10.1.0.0/24", "fd00::/64"}
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.0.2.1"}}
	return []apiObject{
		pod,
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{"team": "a"}}},
		&corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{
			ClusterIPs: []string{"10.96.0.1"}, ExternalIPs: []string{"192.0.2.9"},
			Ports: []corev1.ServicePort{{Port: 80, NodePort: 30080, Protocol: corev1.ProtocolTCP}},
		}},
		node,
		&discoveryv1.EndpointSlice{ObjectMeta: meta, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"192.0.2.1"}}}},
		&networkingv1.NetworkPolicy{ObjectMeta: meta, Spec: networkingv1.NetworkPolicySpec{
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Ingress: []networkingv1.NetworkPolicyIngressRule{{
				From: []networkingv1.NetworkPolicyPeer{
					{IPBlock: &networkingv1.IPBlock{CIDR: "192.0.2.0/24", Except: []string{"192.0.2.8/30"}}},
					{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
						NamespaceSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
							{Key: "team", Operator: metav1.LabelSelectorOpIn, Values: []string{"a"}},
						}}},
				},
				Ports: []networkingv1.NetworkPolicyPort{{Port: &first, EndPort: &last}, {Port: &named}},
			}},
		}},
		&onlyJSON{adminObject{ObjectMeta: metav1.ObjectMeta{Name: "strict", UID: "u"}, Spec: []byte(`{"priority": 1,
			"subject": {"pods": {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "web"}}}},
			"ingress": [{"name": "one", "action": "Deny", "from": [{"namespaces": {}}], "ports": [{"portNumber": {"port": 80}}, {"namedPort": "http"}]}],
			"egress": [{"action": "Pass", "to": [{"networks": ["192.0.2.0/24"]}, {"nodes": {}}, {"domainNames": ["example.com"]}], "ports": [{"portRange": {"protocol": "UDP", "start": 1, "end": 2}}]}]}`)}},
		&onlyJSON{adminObject{ObjectMeta: metav1.ObjectMeta{Name: "default", UID: "u"}, Spec: []byte(`{
			"subject": {"namespaces": {"matchExpressions": [{"key": "team", "operator": "In", "values": ["a"]}]}},
			"ingress": [{"action": "Allow", "from": [{"namespaces": {}}]}]}`)}},
		&onlyJSON{adminObject{ObjectMeta: metav1.ObjectMeta{Name: "strict", UID: "u"}, Spec: []byte(`{"tier": "Admin", "priority": 1,
			"subject": {"namespaces": {}}, "ingress": [{"action": "Accept", "from": [{"namespaces": {}}],
			"protocols": [{"tcp": {"destinationPort": {"number": 80}}}, {"udp": {"destinationPort": {"range": {"start": 1, "end": 2}}}}, {"destinationNamedPort": "http"}]}]}`)}},
	}
}

// TestLimits has objects with more than is kept.
func TestLimits(t *testing.T) {
	const many = 5000
	var texts []string
	labels := map[string]string{}
	for i := range many {
		texts = append(texts, fmt.Sprintf("10.1.%d.%d", i/250, 1+i%250))
		labels[fmt.Sprint("label-", i)] = "v"
	}
	meta := metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "u", Labels: labels}
	s := newMirrored(t)
	s.size = 1 << 20
	pod := &corev1.Pod{ObjectMeta: meta}
	svc := &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{ExternalIPs: texts}}
	slice := &discoveryv1.EndpointSlice{ObjectMeta: meta, Endpoints: []discoveryv1.Endpoint{{Addresses: texts}}}
	node := &corev1.Node{ObjectMeta: meta}
	for i, text := range texts {
		pod.Status.PodIPs = append(pod.Status.PodIPs, corev1.PodIP{IP: text})
		svc.Spec.Ports = append(svc.Spec.Ports, corev1.ServicePort{Port: int32(1 + i), NodePort: int32(30000 + i)})
		node.Status.Addresses = append(node.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: text})
		node.Spec.PodCIDRs = append(node.Spec.PodCIDRs, text+"/32")
	}
	check(t, s.stores["namespaces"].Add(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: labels}}))
	check(t, s.stores["pods"].Add(pod))
	check(t, s.stores["services"].Add(svc))
	check(t, s.stores["nodes"].Add(node))
	check(t, s.stores["endpointslices"].Add(slice))
	d := s.m.take()
	if len(d.services) != maxFrontends || len(d.apiServers) != maxAddresses ||
		len(d.nodes[0].Addresses) != maxAddresses || len(d.nodes[0].Pods) != maxRanges {
		t.Errorf("%d frontends, %d API servers, a node with %d addresses and %d ranges",
			len(d.services), len(d.apiServers), len(d.nodes[0].Addresses), len(d.nodes[0].Pods))
	}
	if got := len(s.m.pods[name{"shop", "web"}].labels); got != maxLabels+2 {
		t.Errorf("%d labels", got)
	}
}
