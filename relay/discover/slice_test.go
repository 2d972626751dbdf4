package discover

import (
	"cmp"
	"log/slog"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fovea-obs/fovea/relay/peers"
)

// of makes an EndpointSlice with a port 4244.
func of(name string, endpoints ...discoveryv1.Endpoint) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Name: name}, AddressType: discoveryv1.AddressTypeIPv4,
		Ports: []discoveryv1.EndpointPort{port("peer-service", 4244, corev1.ProtocolTCP)}, Endpoints: endpoints,
	}
}

func port(name string, number int32, protocol corev1.Protocol) discoveryv1.EndpointPort {
	return discoveryv1.EndpointPort{Name: &name, Port: &number, Protocol: &protocol}
}

// at makes an endpoint on a node. Its conditions are letters: r for ready, s for serving,
// t for terminating, and in capitals that it is not so.
func at(node, address, conditions string) discoveryv1.Endpoint {
	e := discoveryv1.Endpoint{Addresses: []string{address}}
	if node != "" {
		e.NodeName = &node
	}
	for _, c := range conditions {
		is := strings.ContainsRune("rst", c)
		switch c {
		case 'r', 'R':
			e.Conditions.Ready = &is
		case 's', 'S':
			e.Conditions.Serving = &is
		case 't', 'T':
			e.Conditions.Terminating = &is
		}
	}
	return e
}

func TestNodes(t *testing.T) {
	for name, tt := range map[string]struct {
		slices []*discoveryv1.EndpointSlice
		// want are names and addresses, left is what the log says.
		want []string
		left string
	}{
		"nothing": {},
		"two slices": {
			slices: []*discoveryv1.EndpointSlice{of("a", at("node1", "192.0.2.1", "rsT"), at("node2", "192.0.2.2", "rsT")), of("b", at("node3", "192.0.2.3", "rsT"))},
			want:   []string{"node1 192.0.2.1:4244", "node2 192.0.2.2:4244", "node3 192.0.2.3:4244"},
		},
		"nothing said of conditions": {
			slices: []*discoveryv1.EndpointSlice{of("a", at("node1", "192.0.2.1", ""))}, want: []string{"node1 192.0.2.1:4244"},
		},
		"not ready": {
			slices: []*discoveryv1.EndpointSlice{of("a", at("node1", "192.0.2.1", "RST"))}, want: []string{"node1 192.0.2.1:4244"},
		},
		"ending, and serving": {
			slices: []*discoveryv1.EndpointSlice{of("a", at("node1", "192.0.2.1", "Rst"))}, want: []string{"node1 192.0.2.1:4244"},
		},
		"ending, and not serving":            {slices: []*discoveryv1.EndpointSlice{of("a", at("node1", "192.0.2.1", "RSt"))}},
		"ending, and said to be not ready":   {slices: []*discoveryv1.EndpointSlice{of("a", at("node1", "192.0.2.1", "Rt"))}},
		"ending, and nothing said of others": {slices: []*discoveryv1.EndpointSlice{of("a", at("node1", "192.0.2.1", "t"))}, want: []string{"node1 192.0.2.1:4244"}},
		"one that ends and the next": {
			slices: []*discoveryv1.EndpointSlice{of("a", at("node1", "192.0.2.1", "Rst"), at("node1", "192.0.2.9", "RST"))}, want: []string{"node1 192.0.2.9:4244"},
		},
		"one that is ready and one that is not": {
			slices: []*discoveryv1.EndpointSlice{of("a", at("node1", "192.0.2.1", "RST"), at("node1", "192.0.2.9", "rsT"))}, want: []string{"node1 192.0.2.9:4244"},
		},
		"two alike": {
			slices: []*discoveryv1.EndpointSlice{of("a", at("node1", "192.0.2.9", "rsT")), of("b", at("node1", "192.0.2.10", "rsT"))}, want: []string{"node1 192.0.2.9:4244"},
		},
		"both families": {
			slices: []*discoveryv1.EndpointSlice{of("a", at("node1", "2001:db8::1", "rsT"), at("node2", "2001:db8::2", "rsT")), of("b", at("node1", "192.0.2.1", "RST"))},
			want:   []string{"node1 192.0.2.1:4244", "node2 [2001:db8::2]:4244"},
		},
		"no node": {
			slices: []*discoveryv1.EndpointSlice{of("a", at("", "192.0.2.1", "rsT"), at("node2", "192.0.2.2", "rsT"))},
			want:   []string{"node2 192.0.2.2:4244"}, left: `no node's name`,
		},
		"a name of DNS": {slices: []*discoveryv1.EndpointSlice{of("a", at("node1", "agent.example.com", "rsT"))}, left: "no IP address"},
		"no address":    {slices: []*discoveryv1.EndpointSlice{of("a", discoveryv1.Endpoint{NodeName: new("node1")})}, left: "no IP address"},
	} {
		var log strings.Builder
		s := &Source{
			c:       Config{Cluster: "default", Log: slog.New(slog.NewTextHandler(&log, nil))},
			changed: make(chan struct{}, 1), slices: map[string]*slice{},
		}
		// The order of events is not to matter, and what is left out is told once.
		for range 2 {
			for _, o := range slices.Backward(tt.slices) {
				kept, _ := convert(o)
				s.set(kept)
			}
		}
		list := s.nodes()
		slices.SortFunc(list, func(a, b peers.Node) int { return cmp.Compare(a.Name, b.Name) })
		var got []string
		for _, n := range list {
			got = append(got, n.Name+" "+n.Address)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: the nodes are %v, want %v", name, got, tt.want)
		}
		if told := strings.Count(log.String(), "\n"); (tt.left == "") != (told == 0) || told > 1 || !strings.Contains(log.String(), tt.left) {
			t.Errorf("%s: the log says %q, want %q once", name, log.String(), tt.left)
		}
	}
}

func TestPort(t *testing.T) {
	for name, tt := range map[string]struct {
		ports []discoveryv1.EndpointPort
		want  uint16
	}{
		"none":             {},
		"one with no name": {[]discoveryv1.EndpointPort{{Port: new(int32(4244))}}, 4244},
		"the first":        {[]discoveryv1.EndpointPort{port("a", 1, "TCP"), port("b", 2, "TCP")}, 1},
		"grpc":             {[]discoveryv1.EndpointPort{port("a", 1, "TCP"), port("grpc", 2, "TCP")}, 2},
		"peer-service":     {[]discoveryv1.EndpointPort{port("a", 1, "TCP"), port("grpc", 2, "TCP"), port("peer-service", 3, "TCP")}, 3},
		"of TCP":           {[]discoveryv1.EndpointPort{port("peer-service", 1, "UDP"), port("a", 2, "TCP")}, 2},
		"of TCP alone":     {[]discoveryv1.EndpointPort{port("peer-service", 1, "SCTP")}, 0},
		"any":              {[]discoveryv1.EndpointPort{{Name: new("peer-service")}}, 0},
		"out of bounds":    {[]discoveryv1.EndpointPort{port("peer-service", 65536, "TCP"), port("grpc", -1, "TCP")}, 0},
	} {
		if got, ok := portOf(tt.ports); got != tt.want || ok != (tt.want != 0) {
			t.Errorf("%s: port %d, %v, want %d", name, got, ok, tt.want)
		}
	}
	o := of("a", at("node1", "192.0.2.1", ""))
	o.Ports = nil
	if s, ok := convert(o); !ok || len(s.endpoints) > 0 || s.left == "" {
		t.Errorf("a slice with no port: %v, %v", s, ok)
	}
}

func TestNames(t *testing.T) {
	for _, tt := range []struct {
		cluster string
		tls     bool
		want    peers.Node
	}{
		{"default", false, peers.Node{Name: "node1.example.com", Address: "192.0.2.1:4244"}},
		{"prod", false, peers.Node{Name: "prod/node1.example.com", Address: "192.0.2.1:4244"}},
		{"prod", true, peers.Node{
			Name: "prod/node1.example.com", Address: "192.0.2.1:4244", ServerName: "node1-example-com.prod.hubble-grpc.cilium.io"}},
	} {
		s := &Source{c: Config{Cluster: tt.cluster, TLS: tt.tls}, changed: make(chan struct{}, 1)}
		kept, _ := convert(of("a", at("node1.example.com", "192.0.2.1", "")))
		s.replace([]*slice{kept})
		if got := s.nodes(); len(got) != 1 || got[0] != tt.want {
			t.Errorf("in cluster %s: %v, want %v", tt.cluster, got, tt.want)
		}
	}
}

func TestUnexpected(t *testing.T) {
	for _, given := range []any{nil, "a text", &corev1.Pod{}} {
		if _, ok := convert(given); ok {
			t.Errorf("%v is taken for a slice", given)
		}
	}
}
