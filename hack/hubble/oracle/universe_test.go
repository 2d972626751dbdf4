package oracle

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/service"
)

// universe is all there is that flows tell of. It is small, so that filters
// meet flows, and much in it is nearly the same as something else.
type universe struct {
	cluster   string
	endpoints []endpoint.Endpoint
	services  []service.Name
	// names are those that addresses may have.
	names      []string
	v4, v6     []netip.Addr
	ports      []uint16
	protocols  []uint8
	interfaces map[uint32]string
	reasons    map[uint32]string
	symbols    map[uint64]string
}

func newUniverse(cluster string) *universe {
	return &universe{
		cluster:   cluster,
		endpoints: endpointsOf(cluster),
		services: []service.Name{
			{Namespace: "shop", Name: "api"}, {Namespace: "shop", Name: "api-2"}, {Namespace: "shop-2", Name: "api"},
			{Namespace: "default", Name: "kubernetes"}, {Namespace: "kube-system", Name: "kube-dns"},
		},
		names: []string{"example.com", "www.example.com", "example.org", "api.shop.svc.cluster.local", "a_b-c.1"},
		v4: addresses("10.0.0.1", "10.0.0.2", "10.0.1.1", "10.1.0.1", "10.96.0.1", "192.0.2.1", "8.8.8.8",
			"0.0.0.0", "255.255.255.255", "128.0.0.0"),
		v6: addresses("fd00::1", "fd00::2", "fd00:0:0:1::1", "2001:db8::1", "2001:db8:8000::", "::1", "::", "fe80::1",
			"::ffff:10.0.0.1", "64:ff9b::808:808", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
		ports: []uint16{0, 1, 3, 8, 53, 80, 128, 443, 5432, 8080, 40000, 65535},
		// Two without a message of their own, and one that no packet has.
		protocols: []uint8{6, 6, 6, 17, 17, 132, 1, 58, 2, 112, 47, 50, 255},
		// The last one is gone.
		interfaces: map[uint32]string{1: "eth0", 2: "veth2", 3: "veth21", 4: ""},
		reasons: map[uint32]string{
			0: "", 2: "NOT_SPECIFIED", 12: "NETFILTER_DROP", 14: "IP_CSUM", 15: "TCP_CSUM", 20: "IP_RPFILTER",
			30: "IP_OUTNOROUTES", 40: "UNHANDLED_PROTO", 50: "VXLAN_VNI_NOT_FOUND", 999: "",
		},
		symbols: map[uint64]string{0: "", 0x1000: "nft_do_chain", 0x2000: "ip_rcv", 0x3000: ""},
	}
}

func endpointsOf(cluster string) []endpoint.Endpoint {
	type labels = map[string]string
	pod := func(namespace, name string, l labels, w ...endpoint.Workload) endpoint.Endpoint {
		return endpoint.ForPod(cluster, namespace, name, l, w)
	}
	local := pod("shop", "web-1", labels{"app": "web", "tier": "front"}, endpoint.Workload{Kind: "Deployment", Name: "web"})
	local.ID = 7
	return []endpoint.Endpoint{
		local,
		pod("shop", "web-1", labels{"app": "web", "tier": "front", "weight": "10"},
			endpoint.Workload{Kind: "Deployment", Name: "web"}),
		pod("shop", "web-11", labels{"app": "web", "app.kubernetes.io/name": "web", "weight": "9"},
			endpoint.Workload{Kind: "ReplicaSet", Name: "web"}, endpoint.Workload{Kind: "Deployment", Name: "web"}),
		pod("shop", "db-0", labels{"app": "db", "tier": "", "weight": "-3"}, endpoint.Workload{Kind: "StatefulSet", Name: "db"}),
		pod("shop-2", "web-1", labels{"app": "web", "weight": "heavy"}, endpoint.Workload{Kind: "Deployment", Name: "web-2"}),
		pod("default", "tool", nil),
		pod("default", "web", labels{"App": "Web"}, endpoint.Workload{Kind: "DaemonSet"}),
		pod("kube-system", "coredns-7d8f", labels{"k8s-app": "kube-dns"}, endpoint.Workload{Kind: "Deployment", Name: "coredns"}),
		pod("", "", labels{"app": "vm"}),
		endpoint.ForPod("other", "shop", "web-1", labels{"app": "web"}, nil),
		endpoint.ForService(cluster, "shop", "api"),
		endpoint.ForService(cluster, "default", "kubernetes"),
		{
			Identity: 1, Cluster: cluster, Labels: []string{"reserved:host", "reserved:kube-apiserver"},
		},
		{
			Identity: 256, Cluster: "other", Namespace: "shop", Pod: "odd",
			Labels: []string{"any:tier=back", "container:app=box", "k8s:app=web", "k8s:odd=a=b:c", "k8s:solo", "unspec:app=x"},
		},
	}
}

func addresses(list ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// keys of a map, in order: what is random must not hang on a map's.
func keys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
