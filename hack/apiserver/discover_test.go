package apiserver

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fovea-obs/fovea/hack/pki"
	"github.com/fovea-obs/fovea/relay"
	"github.com/fovea-obs/fovea/relay/discover"
	"github.com/fovea-obs/fovea/relay/peers"
)

// discovery is a relay's peers as EndpointSlices say.
type discovery struct {
	*cluster
	peers *peers.Peers
}

// discover follows the Service observability/agents, by a kubeconfig, until the test ends.
func (c *cluster) discover(t *testing.T, kubeconfig string) *discovery {
	t.Helper()
	c.log = &lines{}
	d := &discovery{cluster: c, peers: peers.New(nil, time.Second)}
	source, err := discover.New(discover.Config{
		Kubeconfig: kubeconfig, Namespace: "observability", Service: "agents", Cluster: "prod",
		Peers: d.peers, Log: slog.New(slog.NewTextHandler(c.log, nil)),
	})
	check(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- source.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		check(t, <-done)
		d.peers.Close()
	})
	return d
}

// are waits until the peers are these, as name address.
func (d *discovery) are(t *testing.T, want ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	for {
		list, changed := d.peers.All()
		var got []string
		for _, p := range list {
			got = append(got, p.Name+" "+p.Address)
		}
		if slices.Equal(got, want) {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("the peers are %v, want %v; the log says:\n%s", got, want, d.log.all())
		}
	}
}

func (c *cluster) namespace(t *testing.T) {
	t.Helper()
	check(t, c.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "observability"}}))
}

// slice makes an EndpointSlice of a Service, with agents at 192.0.2.N on the nodes N.
func (c *cluster) slice(t *testing.T, name, service string, nodes ...int) *discoveryv1.EndpointSlice {
	t.Helper()
	s := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "observability", Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: new("metrics"), Port: new(int32(9965))}, {Name: new("peer-service"), Port: new(int32(4244))}},
	}
	for _, n := range nodes {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{fmt.Sprint("192.0.2.", n)}, NodeName: new(fmt.Sprint("node", n)),
			Conditions: discoveryv1.EndpointConditions{Ready: new(true), Serving: new(true), Terminating: new(false)},
		})
	}
	check(t, c.Create(t.Context(), s))
	return s
}

// TestDiscover has slices that were there before, and some that come, change and go.
func TestDiscover(t *testing.T) {
	c := newCluster(t)
	c.namespace(t)
	first := c.slice(t, "agents-a", "agents", 1, 2)
	c.slice(t, "others-a", "others", 8)
	d := c.discover(t, c.Kubeconfig)
	d.are(t, "prod/node1 192.0.2.1:4244", "prod/node2 192.0.2.2:4244")
	before, _ := d.peers.All()

	second := c.slice(t, "agents-b", "agents", 3)
	d.are(t, "prod/node1 192.0.2.1:4244", "prod/node2 192.0.2.2:4244", "prod/node3 192.0.2.3:4244")
	after, _ := d.peers.All()
	if after[0] != before[0] || after[1] != before[1] {
		t.Error("a node that stayed has another connection")
	}

	// One is not ready, one ends, and one has another address.
	first.Endpoints[0].Conditions = discoveryv1.EndpointConditions{Ready: new(false), Serving: new(false), Terminating: new(false)}
	first.Endpoints[1].Conditions = discoveryv1.EndpointConditions{Ready: new(false), Serving: new(false), Terminating: new(true)}
	check(t, c.Update(t.Context(), first))
	second.Endpoints[0].Addresses = []string{"192.0.2.9"}
	check(t, c.Update(t.Context(), second))
	d.are(t, "prod/node1 192.0.2.1:4244", "prod/node3 192.0.2.9:4244")

	check(t, c.Delete(t.Context(), second, 0))
	d.are(t, "prod/node1 192.0.2.1:4244")
	check(t, c.Delete(t.Context(), first, 0))
	d.are(t)
	eventually(t, func() bool { return d.log.count("no nodes to ask") == 1 })
	c.slice(t, "agents-c", "agents", 4)
	d.are(t, "prod/node4 192.0.2.4:4244")
}

// TestDiscoverOutage has the API away, first when a relay starts.
func TestDiscoverOutage(t *testing.T) {
	c := newCluster(t)
	c.namespace(t)
	c.slice(t, "agents-a", "agents", 1, 2)
	away := func() {
		c.core.Client.CloseIdleConnections()
		check(t, c.StopAPI())
	}
	away()
	d := c.discover(t, c.Kubeconfig)
	eventually(t, func() bool { return d.log.count("cannot be followed") == 1 })
	d.are(t)
	check(t, c.StartAPI(t.Context()))
	d.are(t, "prod/node1 192.0.2.1:4244", "prod/node2 192.0.2.2:4244")
	eventually(t, func() bool { return d.log.count("answers again") == 1 })

	away()
	eventually(t, func() bool { return d.log.count("cannot be followed") == 2 })
	d.are(t, "prod/node1 192.0.2.1:4244", "prod/node2 192.0.2.2:4244")
	check(t, c.StartAPI(t.Context()))
	c.slice(t, "agents-b", "agents", 3)
	d.are(t, "prod/node1 192.0.2.1:4244", "prod/node2 192.0.2.2:4244", "prod/node3 192.0.2.3:4244")
	if n := d.log.count("no nodes to ask"); n > 0 {
		t.Errorf("told %d times that there are none", n)
	}
}

// TestDiscoverRights has a relay that may see the slices of the namespace only, and first
// not even these.
func TestDiscoverRights(t *testing.T) {
	c := newCluster(t)
	c.namespace(t)
	c.slice(t, "agents-a", "agents", 1)
	d := c.discover(t, c.Limited)
	eventually(t, func() bool { return strings.Contains(d.log.all(), "is forbidden") })
	const group = "/apis/rbac.authorization.k8s.io/v1/namespaces/observability/"
	c.create(t, group+"roles", `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: fovea-relay, namespace: observability}
rules: [{apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}]
`)
	c.create(t, group+"rolebindings", `
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: fovea-relay, namespace: observability}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: fovea-relay}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: `+LimitedUser+`}]
`)
	d.are(t, "prod/node1 192.0.2.1:4244")
}

// TestDiscoverRelay has a relay tell of the nodes, and whom they must be to be asked.
func TestDiscoverRelay(t *testing.T) {
	c := newCluster(t)
	c.namespace(t)
	c.slice(t, "agents-a", "agents", 1)
	authority, err := pki.NewAuthority("test")
	check(t, err)
	dir := t.TempDir()
	cfg := relay.DefaultConfig("relay")
	cfg.ListenAddress, cfg.HealthListenAddress = "unix://"+filepath.Join(dir, "relay"), "unix://"+filepath.Join(dir, "health")
	cfg.PeerEndpoints, cfg.Kubeconfig, cfg.ClusterName = "observability/agents", c.Kubeconfig, "prod"
	cfg.DisableServerTLS, cfg.Client.CAFiles = true, []string{filepath.Join(dir, "ca.crt")}
	check(t, os.WriteFile(cfg.Client.CAFiles[0], authority.PEM, 0o600))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- relay.Run(ctx, cfg, slog.New(slog.NewTextHandler(t.Output(), nil))) }()
	conn, err := grpc.NewClient(cfg.ListenAddress, grpc.WithTransportCredentials(insecure.NewCredentials()))
	check(t, err)
	defer func() {
		check(t, conn.Close())
		cancel()
		check(t, <-done)
	}()
	var nodes []*observerpb.Node
	eventually(t, func() bool {
		r, err := observerpb.NewObserverClient(conn).GetNodes(t.Context(), &observerpb.GetNodesRequest{}, grpc.WaitForReady(true))
		check(t, err)
		nodes = r.GetNodes()
		return len(nodes) > 0
	})
	n := nodes[0]
	if n.GetName() != "prod/node1" || n.GetAddress() != "192.0.2.1:4244" || n.GetTls().GetServerName() != "node1.prod.hubble-grpc.cilium.io" {
		t.Errorf("the node is %v", n)
	}
}
