package apiserver

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/event"
	"github.com/fovea-obs/fovea/agent/kube"
	"github.com/fovea-obs/fovea/agent/peer"
	"github.com/fovea-obs/fovea/agent/policy"
	"github.com/fovea-obs/fovea/agent/service"
)

const deadline = 60 * time.Second

// cluster is an API server, a source that follows it, and what that fills.
type cluster struct {
	*Server
	*Client
	source    *kube.Source
	endpoints *endpoint.Table
	services  *service.Table
	policies  *policy.Table
	peers     *peer.Nodes
	log       *lines
}

// lines are what was logged.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), s)
}

func (l *lines) all() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	s, err := Start(t.Context(), t.TempDir(), t.Output())
	check(t, err)
	t.Cleanup(func() { check(t, s.Close()) })
	c, err := NewClient(s.Kubeconfig)
	check(t, err)
	t.Cleanup(c.core.Client.CloseIdleConnections)
	return &cluster{Server: s, Client: c}
}

// follow starts a source that may see all, which ends with the test.
func (c *cluster) follow(t *testing.T) {
	t.Helper()
	c.followBy(t, c.Kubeconfig)
}

func (c *cluster) followBy(t *testing.T, kubeconfig string) {
	t.Helper()
	c.log = &lines{}
	now := func() int64 { return time.Now().UnixNano() }
	c.endpoints = endpoint.NewTable("prod")
	c.services = service.NewTable("prod", c.endpoints)
	c.policies = policy.NewTable(c.endpoints)
	c.peers = peer.NewNodes("prod/node1", "192.0.2.11:4244", false)
	var err error
	c.source, err = kube.New(kube.Config{
		Kubeconfig: kubeconfig, Cluster: "prod", Node: "node1", Port: "4244",
		Endpoints: c.endpoints, Services: c.services, Peers: c.peers, Policies: c.policies, Events: event.NewLog(now),
		Now: now, Log: slog.New(slog.NewTextHandler(c.log, nil)),
	})
	check(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.source.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		check(t, <-done)
	})
}

func (c *cluster) synced(t *testing.T) {
	t.Helper()
	select {
	case <-c.source.Synced():
	case <-time.After(deadline):
		t.Fatalf("not synced: %v", c.log.text.String())
	}
}

// remote is who has an address now.
func (c *cluster) remote(address string) string {
	e := c.endpoints.At(c.endpoints.Remote(netip.MustParseAddr(address), time.Now().UnixNano()))
	return e.String()
}

func (c *cluster) service(address string, port uint16) string {
	return c.services.At(c.services.Lookup(netip.MustParseAddr(address), port, 6)).Name
}

// run makes a pod that runs on node1 with an address.
func (c *cluster) run(t *testing.T, name, address string) *corev1.Pod {
	t.Helper()
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Labels: map[string]string{"app": name}},
		Spec:       corev1.PodSpec{NodeName: "node1", Containers: []corev1.Container{{Name: "c", Image: "i"}}},
	}
	check(t, c.Create(t.Context(), p))
	start := metav1.Now()
	p.Status = corev1.PodStatus{Phase: corev1.PodRunning, StartTime: &start, PodIP: address, PodIPs: []corev1.PodIP{{IP: address}}}
	check(t, c.UpdateStatus(t.Context(), p))
	return p
}

func (c *cluster) fill(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	check(t, c.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{"team": "red"}}}))
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node2"}}
	check(t, c.Create(ctx, n))
	n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.0.2.12"}}
	check(t, c.UpdateStatus(ctx, n))
	check(t, c.Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"},
		Spec:       corev1.ServiceSpec{ClusterIP: "10.96.0.50", Ports: []corev1.ServicePort{{Port: 80}}},
	}))
}

// TestFollow has objects that were there before the source, and some that come,
// change and go.
func TestFollow(t *testing.T) {
	c := newCluster(t)
	c.fill(t)
	c.run(t, "web", "10.1.0.2")
	c.follow(t)
	c.synced(t)
	for address, want := range map[string]string{
		"10.1.0.2": "shop/web", "192.0.2.12": "reserved:remote-node", Advertised: "reserved:kube-apiserver",
	} {
		if got := c.remote(address); got != want {
			t.Errorf("%s is %s, want %s", address, got, want)
		}
	}
	if got := c.service("10.96.0.50", 80); got != "web" {
		t.Errorf("the service is %q", got)
	}
	if all, _ := c.peers.All(); len(all) != 2 || all["prod/node2"] != "192.0.2.12:4244" {
		t.Errorf("peers are %v", all)
	}
	e := c.endpoints.At(c.endpoints.Remote(netip.MustParseAddr("10.1.0.2"), 0))
	if got := strings.Join(e.Labels, " "); !strings.Contains(got, "k8s:io.cilium.k8s.namespace.labels.team=red") {
		t.Errorf("before all, the pod has labels %s", got)
	}
	if d := c.source.Degraded(); d != nil {
		t.Errorf("degraded: %v", d)
	}

	db := c.run(t, "db", "10.1.0.3")
	eventually(t, func() bool { return c.remote("10.1.0.3") == "shop/db" })
	check(t, c.Delete(t.Context(), db, 0))
	eventually(t, func() bool { return c.remote("10.1.0.3") == "reserved:world" })
	if got := c.metrics(t, `apiserver_watch_list_duration_seconds_count`); !strings.Contains(got, "pods") {
		t.Errorf("pods were listed, not streamed: %s", got)
	}
}

// TestOutage has the API server away, first when the source starts.
func TestOutage(t *testing.T) {
	c := newCluster(t)
	c.fill(t)
	c.run(t, "web", "10.1.0.2")
	c.core.Client.CloseIdleConnections()
	check(t, c.StopAPI())
	c.follow(t)
	eventually(t, func() bool { return c.log.count("cannot be followed") > 0 })
	if d := c.source.Degraded(); len(d) != 1 || d[0] != "kubernetes" {
		t.Errorf("degraded before the first answer: %v", d)
	}
	check(t, c.StartAPI(t.Context()))
	c.synced(t)
	if got := c.remote("10.1.0.2"); got != "shop/web" {
		t.Errorf("the pod is %s", got)
	}

	c.core.Client.CloseIdleConnections()
	check(t, c.StopAPI())
	eventually(t, func() bool { return len(c.source.Degraded()) > 0 })
	if got := c.remote("10.1.0.2"); got != "shop/web" {
		t.Errorf("without the API the pod is %s", got)
	}
	check(t, c.StartAPI(t.Context()))
	c.run(t, "db", "10.1.0.3")
	eventually(t, func() bool { return c.remote("10.1.0.3") == "shop/db" && c.source.Degraded() == nil })
	if n, m := c.log.count("cannot be followed"), c.log.count("answers again"); n > 2 || m != n {
		t.Errorf("told %d times that it is away, and %d that it is back", n, m)
	}
}

// metrics are those of the API server whose lines begin so.
func (c *cluster) metrics(t *testing.T, prefix string) (found string) {
	t.Helper()
	text, err := c.core.Get().AbsPath("/metrics").SetHeader("Accept", "text/plain").DoRaw(t.Context())
	check(t, err)
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, prefix) {
			found += line
		}
	}
	return found
}

func eventually(t *testing.T, is func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not in time")
		}
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
