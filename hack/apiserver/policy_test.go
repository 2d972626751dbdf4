package apiserver

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/fovea-obs/fovea/agent/policy"
	"github.com/fovea-obs/fovea/hack/stock"
)

const (
	definitionsPath = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
	adminPath       = "/apis/policy.networking.k8s.io/v1alpha1/adminnetworkpolicies"
	baselinePath    = "/apis/policy.networking.k8s.io/v1alpha1/baselineadminnetworkpolicies"
	clusterPath     = "/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies"
	rolesPath       = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
	bindingsPath    = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
)

// Definitions, in the order of stock.PolicyDefinitions.
const (
	adminDefinition = iota
	baselineDefinition
	clusterDefinition
)

// definitions are those of all kinds of policies of administrators, in YAML.
func definitions(t *testing.T) (all []string) {
	t.Helper()
	paths, err := stock.PolicyDefinitions(t.Context())
	check(t, err)
	for _, p := range paths {
		text, err := os.ReadFile(p)
		check(t, err)
		all = append(all, string(text))
	}
	return all
}

func toJSON(t *testing.T, text string) []byte {
	t.Helper()
	var o any
	check(t, yaml.Unmarshal([]byte(text), &o))
	raw, err := json.Marshal(o)
	check(t, err)
	return raw
}

// create makes an object that is written in YAML, as soon as there is such a
// resource.
func (c *cluster) create(t *testing.T, path, text string) {
	t.Helper()
	raw := toJSON(t, text)
	eventually(t, func() bool {
		err := c.core.Post().AbsPath(path).SetHeader("Accept", "application/json").SetHeader("Content-Type", "application/json").
			Body(raw).Do(t.Context()).Error()
		if apierrors.IsNotFound(err) || apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
			return false // not yet, or not yet gone
		}
		check(t, err)
		return true
	})
}

// change merges YAML into an object.
func (c *cluster) change(t *testing.T, path, name, text string) {
	t.Helper()
	check(t, c.core.Patch("application/merge-patch+json").AbsPath(path, name).SetHeader("Accept", "application/json").
		Body(toJSON(t, text)).Do(t.Context()).Error())
}

func (c *cluster) remove(t *testing.T, path, name string) {
	t.Helper()
	check(t, c.core.Delete().AbsPath(path, name).SetHeader("Accept", "application/json").Do(t.Context()).Error())
}

// ask says what policies say of a connection from web to db, at a port.
func (c *cluster) ask(port uint16) string {
	q := policy.Query{
		SourceAddr: netip.MustParseAddr("10.1.0.2"), DestinationAddr: netip.MustParseAddr("10.1.0.3"),
		Protocol: 6, DestinationPort: port,
	}
	now := time.Now().UnixNano()
	q.Source, q.Destination = c.endpoints.Remote(q.SourceAddr, now), c.endpoints.Remote(q.DestinationAddr, now)
	v := c.policies.At(c.policies.Judge(q))
	return strings.TrimSpace(fmt.Sprintln([]string{"unknown", "allowed", "denied"}[v.Allowed()], v.Egress.By, v.Ingress.By))
}

func (c *cluster) says(t *testing.T, port uint16, want string) {
	t.Helper()
	got := ""
	for end := time.Now().Add(deadline); got != want; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("port %d: it is %s, want %s\n%s", port, got, want, c.log.all())
		}
		got = c.ask(port)
	}
}

// withPods begins with two pods.
func withPods(t *testing.T) *cluster {
	t.Helper()
	c := newCluster(t)
	c.fill(t)
	c.run(t, "web", "10.1.0.2")
	c.run(t, "db", "10.1.0.3")
	return c
}

func (c *cluster) healthy(t *testing.T) {
	t.Helper()
	if d := c.source.Degraded(); d != nil {
		t.Errorf("degraded: %v", d)
	}
	for _, what := range []string{"cannot be followed", "does not let", "not understood"} {
		if n := c.log.count(what); n > 0 {
			t.Errorf("%q is told %d times:\n%s", what, n, c.log.all())
		}
	}
}

const (
	denyDB = `
metadata: {name: strict}
kind: AdminNetworkPolicy
apiVersion: policy.networking.k8s.io/v1alpha1
spec:
  priority: 10
  subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: db}}}}
  ingress:
  - {name: first, action: Deny, from: [{namespaces: {matchLabels: {team: red}}}], ports: [{portNumber: {port: 5432}}, {portRange: {start: 1, end: 9}}]}
`
	baseline = `
metadata: {name: default}
kind: BaselineAdminNetworkPolicy
apiVersion: policy.networking.k8s.io/v1alpha1
spec:
  subject: {namespaces: {}}
  ingress: [{action: Deny, from: [{namespaces: {}}], ports: [{portNumber: {port: 443, protocol: TCP}}]}]
`
	denyWeb = `
metadata: {name: strict}
kind: ClusterNetworkPolicy
apiVersion: policy.networking.k8s.io/v1alpha2
spec:
  tier: Admin
  priority: 10
  subject: {pods: {namespaceSelector: {matchLabels: {team: red}}, podSelector: {matchLabels: {app: web}}}}
  egress:
  - {action: Accept, to: [{networks: [192.0.2.0/24]}, {nodes: {}}, {domainNames: ["*.example.com"]}], protocols: [{udp: {destinationPort: {number: 53}}}]}
  - {action: Deny, to: [{networks: [10.1.0.0/16, "fd00::/16"]}], protocols: [{tcp: {destinationPort: {range: {start: 80, end: 90}}}}]}
`
)

// TestPolicies has policies of administrators come, change and go, and their
// kinds too, while they are followed.
func TestPolicies(t *testing.T) {
	c := withPods(t)
	defs := definitions(t)
	c.follow(t)
	c.synced(t)
	c.says(t, 5432, "allowed [] []")
	c.healthy(t)

	for _, d := range defs {
		c.create(t, definitionsPath, d)
	}
	c.create(t, adminPath, denyDB)
	c.create(t, baselinePath, baseline)
	c.create(t, clusterPath, denyWeb)
	c.says(t, 5432, "denied [] [AdminNetworkPolicy strict]")
	c.says(t, 443, "denied [] [BaselineAdminNetworkPolicy default]")
	c.says(t, 80, "denied [ClusterNetworkPolicy strict] []")
	c.healthy(t)

	c.change(t, adminPath, "strict", `{spec: {priority: 11, ingress: [{action: Allow, from: [{namespaces: {}}]}]}}`)
	c.says(t, 5432, "allowed [] [AdminNetworkPolicy strict]")
	c.change(t, clusterPath, "strict", `{spec: {tier: Baseline, egress: [{action: Deny, to: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {number: 443}}}]}]}}`)
	c.says(t, 80, "allowed [] [AdminNetworkPolicy strict]")
	c.says(t, 443, "denied [ClusterNetworkPolicy strict] [AdminNetworkPolicy strict]")
	c.remove(t, adminPath, "strict")
	c.says(t, 443, "denied [ClusterNetworkPolicy strict] [BaselineAdminNetworkPolicy default]")

	// The kind goes with a policy, and comes again without.
	c.remove(t, definitionsPath, "clusternetworkpolicies.policy.networking.k8s.io")
	c.says(t, 443, "denied [] [BaselineAdminNetworkPolicy default]")
	c.create(t, definitionsPath, defs[clusterDefinition])
	c.create(t, clusterPath, denyWeb)
	c.says(t, 80, "denied [ClusterNetworkPolicy strict] []")
	c.healthy(t)
}

// TestPoliciesThere has policies that were there before, one of a kind that has
// only the older version. Without the API they stay; then one kind is gone.
func TestPoliciesThere(t *testing.T) {
	c := withPods(t)
	defs := definitions(t)
	for _, d := range defs {
		c.create(t, definitionsPath, d)
	}
	c.create(t, adminPath, denyDB)
	c.create(t, baselinePath, baseline)
	c.create(t, clusterPath, denyWeb)
	const ofCluster = "clusternetworkpolicies.policy.networking.k8s.io"
	raw, err := c.core.Get().AbsPath(definitionsPath, ofCluster).SetHeader("Accept", "application/json").DoRaw(t.Context())
	check(t, err)
	var versions struct {
		Spec struct{ Versions []map[string]any }
	}
	check(t, yaml.Unmarshal(raw, &versions))
	for _, v := range versions.Spec.Versions {
		v["served"] = v["name"] != "v1beta1"
	}
	older, err := json.Marshal(versions.Spec.Versions)
	check(t, err)
	c.change(t, definitionsPath, ofCluster, fmt.Sprintf("{spec: {versions: %s}}", older))
	eventually(t, func() bool {
		err := c.core.Get().AbsPath("/apis/policy.networking.k8s.io/v1beta1/clusternetworkpolicies").Do(t.Context()).Error()
		return apierrors.IsNotFound(err)
	})
	c.follow(t)
	c.synced(t)
	want := map[uint16]string{
		5432: "denied [] [AdminNetworkPolicy strict]", 443: "denied [] [BaselineAdminNetworkPolicy default]",
		80: "denied [ClusterNetworkPolicy strict] []",
	}
	for port, says := range want {
		if got := c.ask(port); got != says {
			t.Errorf("port %d: it is %s, want %s", port, got, says)
		}
	}
	c.healthy(t)

	c.core.Client.CloseIdleConnections()
	check(t, c.StopAPI())
	eventually(t, func() bool { return len(c.source.Degraded()) > 0 })
	for port, says := range want {
		if got := c.ask(port); got != says {
			t.Errorf("without the API, port %d: it is %s, want %s", port, got, says)
		}
	}
	check(t, c.StartAPI(t.Context()))
	c.remove(t, definitionsPath, "adminnetworkpolicies.policy.networking.k8s.io")
	c.says(t, 5432, "allowed [] []")
	eventually(t, func() bool { return c.source.Degraded() == nil })
	for _, port := range []uint16{443, 80} {
		if got := c.ask(port); got != want[port] {
			t.Errorf("afterwards, port %d: it is %s, want %s", port, got, want[port])
		}
	}
}

// TestPolicyRights has a source that may not see policies of administrators, and
// not watch definitions either.
func TestPolicyRights(t *testing.T) {
	c := withPods(t)
	role := func(name, rules string) {
		c.create(t, rolesPath, fmt.Sprintf("{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: %s}, rules: [%s]}", name, rules))
		c.create(t, bindingsPath, fmt.Sprintf("{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: %s}, "+
			"roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: %s}, "+
			"subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: %s}]}", name, name, LimitedUser))
	}
	role("fovea", `{apiGroups: [""], resources: [namespaces, nodes, pods, services], verbs: [list, watch]},
		{apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]},
		{apiGroups: [networking.k8s.io], resources: [networkpolicies], verbs: [list, watch]}`)
	c.followBy(t, c.Limited)
	c.synced(t)
	c.healthy(t)

	defs := definitions(t)
	for _, d := range []int{adminDefinition, clusterDefinition} {
		c.create(t, definitionsPath, defs[d])
	}
	c.create(t, adminPath, denyDB)
	want := []string{"no right to list adminnetworkpolicies", "no right to list clusternetworkpolicies"}
	eventually(t, func() bool { return slices.Equal(c.source.Degraded(), want) })
	if n := c.log.count("does not let"); n != 2 {
		t.Errorf("told %d times that there is no right:\n%s", n, c.log.all())
	}
	role("fovea-policies", `{apiGroups: [policy.networking.k8s.io], verbs: [list, watch],
		resources: [adminnetworkpolicies, baselineadminnetworkpolicies, clusternetworkpolicies]}`)
	c.says(t, 5432, "denied [] [AdminNetworkPolicy strict]")
	eventually(t, func() bool { return c.source.Degraded() == nil })
	if n := c.log.count("does not let"); n != 2 {
		t.Errorf("told %d times that there is no right", n)
	}
}

// TestPolicyRightsNamed has the definitions watched by the rights to those of
// these names alone.
func TestPolicyRightsNamed(t *testing.T) {
	c := withPods(t)
	c.create(t, rolesPath, `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: fovea}
rules:
- {apiGroups: [""], resources: [namespaces, nodes, pods, services], verbs: [list, watch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
- {apiGroups: [networking.k8s.io], resources: [networkpolicies], verbs: [list, watch]}
- {apiGroups: [policy.networking.k8s.io], resources: [adminnetworkpolicies, baselineadminnetworkpolicies, clusternetworkpolicies], verbs: [list, watch]}
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  resourceNames:
  - adminnetworkpolicies.policy.networking.k8s.io
  - baselineadminnetworkpolicies.policy.networking.k8s.io
  - clusternetworkpolicies.policy.networking.k8s.io
  verbs: [watch]
`)
	c.create(t, bindingsPath, `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: fovea}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: fovea}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: `+LimitedUser+`}]
`)
	c.followBy(t, c.Limited)
	c.synced(t)
	// One long-running request for each of the three.
	eventually(t, func() bool { return strings.Contains(c.metrics(t, definitionWatches), " 3\n") })
	c.create(t, definitionsPath, definitions(t)[adminDefinition])
	c.create(t, adminPath, denyDB)
	c.says(t, 5432, "denied [] [AdminNetworkPolicy strict]")
	eventually(t, func() bool { return strings.Contains(c.metrics(t, definitionWatches), " 2\n") })
	c.healthy(t)
}

// definitionWatches begins the line of the watches of definitions that are open
// by name, of anybody but the API server.
const definitionWatches = `apiserver_longrunning_requests{component="apiserver",group="apiextensions.k8s.io",resource="customresourcedefinitions",scope="resource"`
