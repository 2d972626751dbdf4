package endpoint

import (
	"fmt"
	"maps"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestForPod also guards that identities stay what they were: nodes of two
// releases must agree on them.
func TestForPod(t *testing.T) {
	workloads := []Workload{{"Deployment", "web"}}
	for name, tt := range map[string]struct {
		got, want Endpoint
	}{
		"pod": {
			ForPod("prod", "shop", "web-1", map[string]string{"tier": "front", "app": "web", "pod-template-hash": "5d8f"}, workloads),
			Endpoint{
				Identity: 1071845716, Cluster: "prod", Namespace: "shop", Pod: "web-1", Workloads: workloads,
				Labels: []string{
					"k8s:app=web", "k8s:io.cilium.k8s.policy.cluster=prod", "k8s:io.kubernetes.pod.namespace=shop",
					"k8s:pod-template-hash=5d8f", "k8s:tier=front",
				},
			},
		},
		"no pod": {
			ForPod("prod", "", "", nil, nil),
			Endpoint{Identity: 1307562143, Cluster: "prod", Labels: []string{"k8s:io.cilium.k8s.policy.cluster=prod"}},
		},
		"service": {
			ForService("prod", "shop", "web"),
			Endpoint{Identity: 2370356923, Cluster: "prod", Namespace: "shop", Workloads: []Workload{{"Service", "web"}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, tt.got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestIdentity has labels that are added to those of a pod, and whether it keeps
// its identity.
func TestIdentity(t *testing.T) {
	base := map[string]string{"app": "web"}
	for name, tt := range map[string]struct {
		add  map[string]string
		same bool
	}{
		"nothing":        {nil, true},
		"another label":  {map[string]string{"tier": "front"}, false},
		"another value":  {map[string]string{"app": "db"}, false},
		"empty label":    {map[string]string{"": ""}, false},
		"a deployment's": {map[string]string{"pod-template-hash": "7d4"}, true},
		"a daemon set's": {map[string]string{"controller-revision-hash": "7d4", "pod-template-generation": "2"}, true},
		"a stateful set's": {map[string]string{
			"statefulset.kubernetes.io/pod-name": "web-0", "apps.kubernetes.io/pod-index": "0", "controller-revision-hash": "a",
		}, true},
		"a job's": {map[string]string{
			"job-name": "j", "controller-uid": "u", "batch.kubernetes.io/job-name": "j",
			"batch.kubernetes.io/controller-uid": "u", "batch.kubernetes.io/job-completion-index": "3",
		}, true},
		"a hash of another": {map[string]string{"example.com/pod-template-hash": "7d4"}, false},
		"a value like one":  {map[string]string{"of": "pod-template-hash"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			labels := maps.Clone(base)
			maps.Copy(labels, tt.add)
			a, b := ForPod("prod", "shop", "web-1", base, nil), ForPod("prod", "shop", "web-2", labels, nil)
			if (a.Identity == b.Identity) != tt.same {
				t.Errorf("identities %d and %d, want the same: %v", a.Identity, b.Identity, tt.same)
			}
		})
	}
}

// TestIdentitiesDiffer gives labels as of a large cluster to the hash: of n that
// are spread evenly over 2³², n²/2³³ share a number, 1.2 of 100,000.
func TestIdentitiesDiffer(t *testing.T) {
	const namespaces, apps, tiers, allowed = 50, 400, 5, 6
	seen := map[uint32]bool{}
	var high, low [256]int
	for ns := range namespaces {
		for app := range apps {
			for tier := range tiers {
				e := ForPod("prod", fmt.Sprintf("team-%d", ns), "", map[string]string{
					"app": fmt.Sprintf("app-%d", app), "tier": fmt.Sprint(tier),
				}, nil)
				if e.Identity < minIdentity {
					t.Fatalf("identity %d is reserved", e.Identity)
				}
				seen[e.Identity] = true
				high[e.Identity>>24]++
				low[e.Identity&0xff]++
			}
		}
	}
	const total, mean = namespaces * apps * tiers, namespaces * apps * tiers / 256
	if twice := total - len(seen); twice > allowed {
		t.Errorf("%d of %d share a number, want at most %d", twice, total, allowed)
	}
	// Six standard deviations.
	const off = 6 * 20
	for i := range 256 {
		if n := high[i]; n < mean-off || mean+off < n {
			t.Errorf("%d numbers begin with byte %#x, want about %d", n, i, mean)
		}
		if n := low[i]; n < mean-off || mean+off < n {
			t.Errorf("%d numbers end with byte %#x, want about %d", n, i, mean)
		}
	}
}

// TestHold has pairs of endpoints that are alike but not equal.
func TestHold(t *testing.T) {
	full := func() Endpoint {
		return Endpoint{
			ID: 1, Identity: 300, Cluster: "c", Namespace: "n", Pod: "p",
			Labels: []string{"a", "b"}, Workloads: []Workload{{"K", "w"}, {"L", "x"}},
		}
	}
	table := NewTable("prod")
	n := table.Hold(full())
	if again := table.Hold(full()); again != n {
		t.Errorf("equal ones are %d and %d", n, again)
	}
	if diff := cmp.Diff(full(), *table.At(n)); diff != "" {
		t.Error(diff)
	}
	for name, change := range map[string]func(*Endpoint){
		"id":                  func(e *Endpoint) { e.ID = 2 },
		"identity":            func(e *Endpoint) { e.Identity = 301 },
		"id and identity":     func(e *Endpoint) { e.ID, e.Identity = 300, 1 },
		"cluster":             func(e *Endpoint) { e.Cluster = "d" },
		"namespace":           func(e *Endpoint) { e.Namespace = "" },
		"pod":                 func(e *Endpoint) { e.Pod = "q" },
		"names change places": func(e *Endpoint) { e.Namespace, e.Pod = "p", "n" },
		"names in one":        func(e *Endpoint) { e.Namespace, e.Pod = "np", "" },
		"label":               func(e *Endpoint) { e.Labels = []string{"a", "c"} },
		"labels in one":       func(e *Endpoint) { e.Labels = []string{"ab"} },
		"a label less":        func(e *Endpoint) { e.Labels = []string{"a"} },
		"pod as label":        func(e *Endpoint) { e.Pod, e.Labels = "", []string{"p", "a", "b"} },
		"workload's kind":     func(e *Endpoint) { e.Workloads = []Workload{{"J", "w"}, {"L", "x"}} },
		"workload's name":     func(e *Endpoint) { e.Workloads = []Workload{{"K", "w"}, {"L", "y"}} },
		"a workload less":     func(e *Endpoint) { e.Workloads = []Workload{{"K", "w"}} },
		"workload as label":   func(e *Endpoint) { e.Labels, e.Workloads = []string{"a", "b", "K", "w"}, []Workload{{"L", "x"}} },
	} {
		t.Run(name, func(t *testing.T) {
			e := full()
			change(&e)
			before := table.Len()
			if got := table.Hold(e); int(got) != before {
				t.Errorf("it is %d, as another, want %d", got, before)
			}
		})
	}
}

// firstOther is the number of the first version that is not reserved.
const firstOther = RemoteNode + 1

func TestReserved(t *testing.T) {
	table := NewTable("prod")
	for n, want := range map[Number]Endpoint{
		Unknown:    {Labels: []string{"reserved:unknown"}},
		World:      {Identity: 2, Labels: []string{"reserved:world"}},
		Host:       {Identity: 1, Cluster: "prod", Labels: []string{"reserved:host"}},
		RemoteNode: {Identity: 6, Cluster: "prod", Labels: []string{"reserved:remote-node"}},
		firstOther: {Labels: []string{"reserved:unknown"}},
		1<<32 - 1:  {Labels: []string{"reserved:unknown"}},
	} {
		if diff := cmp.Diff(want, *table.At(n)); diff != "" {
			t.Errorf("number %d: %s", n, diff)
		}
	}
}

func TestString(t *testing.T) {
	for want, e := range map[string]Endpoint{
		"shop/web-1":         ForPod("prod", "shop", "web-1", map[string]string{"app": "web"}, []Workload{{"Deployment", "web"}}),
		"shop/web(Service)":  ForService("prod", "shop", "web"),
		"k8s:app=web":        {Labels: []string{"k8s:app=web"}},
		"identity 4711":      {Identity: 4711},
		"/agent(Deployment)": {Workloads: []Workload{{"Deployment", "agent"}}},
	} {
		if got := e.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// TestVersionsAreBounded says the same things again and again.
func TestVersionsAreBounded(t *testing.T) {
	table := NewTable("prod")
	addrs := []netip.Addr{netip.MustParseAddr("10.0.0.7"), netip.MustParseAddr("fd00::7")}
	round := func(at int64) {
		for version := range 3 {
			labels := map[string]string{"v": fmt.Sprint(version)}
			table.Set("web", Binding{Endpoint: ForPod("prod", "shop", "web", labels, nil), Interface: "veth-web", Addresses: addrs}, at)
			table.LinkUp(7, "veth-web")
			table.SetHostAddresses(addrs[:version%2])
		}
		table.LinkDown(7)
		table.Remove("web", at)
	}
	round(0)
	before := table.Len()
	first := table.At(firstOther)
	for i := range int64(1000) {
		round(i * remember / 2)
	}
	if table.Len() != before {
		t.Errorf("%d versions became %d", before, table.Len())
	}
	if table.At(firstOther) != first {
		t.Error("a version became another")
	}
	for a, known := range table.addrs {
		if len(known.pods) > 10 {
			t.Errorf("%d intervals of %v", len(known.pods), netip.AddrFrom16(a))
		}
	}
	if len(table.ended) > 20 {
		t.Errorf("%d addresses wait to be forgotten", len(table.ended))
	}
}
