package kube

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/event"
	"github.com/fovea-obs/fovea/agent/peer"
	"github.com/fovea-obs/fovea/agent/policy"
	"github.com/fovea-obs/fovea/agent/service"
	"github.com/fovea-obs/fovea/internal/kubeclient"
	"github.com/fovea-obs/fovea/internal/nodename"
)

// settle is how long after a change services and nodes are told to the tables:
// changes in that time are told with it.
const settle = 100 * time.Millisecond

// Config says what a [Source] fills, and how it asks. All fields but Kubeconfig
// and Policies are needed.
type Config struct {
	// Kubeconfig is the path of the file that says how to reach the API; if it
	// is empty, the service account of the pod that this runs in does.
	Kubeconfig string
	// Cluster and Node are the names of this cluster and node.
	Cluster, Node string
	Endpoints     *endpoint.Table
	Services      *service.Table
	// Peers are told the nodes, with agents on Port.
	Peers *peer.Nodes
	Port  string
	// Policies are told what network policies say; nil if nobody asks them.
	Policies *policy.Table
	// Events are told of network policies.
	Events *event.Log
	// Now is the time in nanoseconds since 1970.
	Now func() int64
	Log *slog.Logger
}

// Source keeps tables as a cluster's API says. It is the only writer of the
// nodes, services and API servers, and of all endpoints.
type Source struct {
	c      Config
	rest   *rest.Config
	mirror *mirror
	health *kubeclient.Health
	synced chan struct{}
}

// New returns a source that has asked nothing yet. It fails if there is nothing
// that says how to reach the API.
func New(c Config) (*Source, error) {
	config, err := kubeclient.Config(c.Kubeconfig)
	if err != nil {
		return nil, err
	}
	s := &Source{c: c, rest: config, synced: make(chan struct{}), health: kubeclient.NewHealth(c.Now, c.Log)}
	m := mirrorConfig{
		cluster: c.Cluster, self: c.Node, endpoints: c.Endpoints, policy: c.Events.Policy, now: c.Now, log: c.Log,
	}
	if c.Policies != nil {
		m.judge = c.Policies
	}
	s.mirror = newMirror(m)
	return s, nil
}

// Synced is closed when the tables first have all that the API tells.
func (s *Source) Synced() <-chan struct{} { return s.synced }

// Degraded returns kubernetes while not all was heard yet, or what was heard may
// be old, and which policies there is no right to see.
func (s *Source) Degraded() (all []string) {
	if s.health.Degraded() {
		all = append(all, "kubernetes")
	}
	for _, r := range s.health.Refused() {
		all = append(all, "no right to list "+r)
	}
	return all
}

// Run follows the API until ctx ends, which is no error.
func (s *Source) Run(ctx context.Context) error {
	// What goes wrong is told by health.
	ctx, cancel := context.WithCancel(klog.NewContext(ctx, logr.Discard()))
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	c, err := newClients(s.rest)
	if err != nil {
		return err
	}
	resources := s.mirror.resources(c)
	for _, r := range resources {
		s.health.Add(r.Name)
	}
	running.Go(func() {
		for _, r := range resources {
			running.Go(func() {
				r.run(ctx, s.health, func() {
					s.health.Sync(r.Name)
					s.mirror.poke()
				})
			})
			if !r.first {
				continue
			}
			select {
			case <-s.health.Heard(r.Name):
			case <-ctx.Done():
				return
			}
		}
	})
	s.flush(ctx)
	return nil
}

// flush tells the tables of services and nodes when they have changed.
func (s *Source) flush(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	pending, synced := true, false
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.mirror.changed:
			if !pending {
				pending = true
				timer.Reset(settle)
			}
		case <-timer.C:
			pending = false
			// Asked before: what was heard until then is told below.
			all := s.health.Synced()
			s.tell(s.mirror.take())
			if all && !synced {
				synced = true
				pods, services, nodes := s.mirror.counts()
				s.c.Endpoints.Listed(s.c.Services.Has)
				s.c.Log.Info("Kubernetes is followed", "pods", pods, "services", services, "nodes", nodes)
				close(s.synced)
			}
		}
	}
}

func (s *Source) tell(d *due) {
	if d.services != nil {
		s.c.Services.Replace(d.services)
	}
	if d.nodes != nil {
		s.c.Endpoints.SetNodes(s.c.Node, d.nodes)
		s.c.Peers.Set(s.peers(d.nodes))
	}
	if d.apiServers != nil {
		s.c.Endpoints.SetAPIServers(d.apiServers)
	}
}

// peers are the agents of nodes, which are at the first address of each.
func (s *Source) peers(nodes []endpoint.Node) map[string]string {
	all := make(map[string]string, len(nodes))
	for _, n := range nodes {
		if len(n.Addresses) > 0 {
			all[nodename.Name(s.c.Cluster, n.Name)] = joinHostPort(n.Addresses[0], s.c.Port)
		}
	}
	return all
}

func joinHostPort(a netip.Addr, port string) string {
	if a.Is6() {
		return "[" + a.String() + "]:" + port
	}
	return a.String() + ":" + port
}
