package discover

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/go-logr/logr"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/fovea-obs/fovea/internal/kubeclient"
	"github.com/fovea-obs/fovea/internal/nodename"
	"github.com/fovea-obs/fovea/relay/peers"
)

const (
	// settle is how long after a change peers are told: changes in that time are told
	// with it, as of an endpoint that moves from one slice to another.
	settle = 100 * time.Millisecond

	resourceName = "endpointslices"
)

// Config says what a [Source] follows, and whom it tells. All fields but Kubeconfig and
// TLS are needed.
type Config struct {
	// Kubeconfig is the path of the file that says how to reach the API; if it is empty,
	// the service account of the pod that this runs in does.
	Kubeconfig string
	// Namespace and Service are the names of the Service.
	Namespace, Service string
	// Cluster is part of what nodes are called.
	Cluster string
	// TLS tells whether nodes are asked with TLS: they have names for that then.
	TLS   bool
	Peers *peers.Peers
	Log   *slog.Logger
}

// Source keeps peers as the API says. It is the only one that sets them.
type Source struct {
	c    Config
	rest *rest.Config
	// changed gets a value when there is something to tell.
	changed chan struct{}

	mu     sync.Mutex
	slices map[string]*slice
}

// New returns a source that has asked nothing yet. It fails if there is nothing that says
// how to reach the API.
func New(c Config) (*Source, error) {
	config, err := kubeclient.Config(c.Kubeconfig)
	if err != nil {
		return nil, err
	}
	return &Source{c: c, rest: config, changed: make(chan struct{}, 1), slices: map[string]*slice{}}, nil
}

// Run follows the API until ctx ends, which is no error.
func (s *Source) Run(ctx context.Context) error {
	// What goes wrong is told by health.
	ctx, cancel := context.WithCancel(klog.NewContext(ctx, logr.Discard()))
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	client, err := s.client()
	if err != nil {
		return err
	}
	health := kubeclient.NewHealth(func() int64 { return time.Now().UnixNano() }, s.c.Log)
	health.Add(resourceName)
	resource := kubeclient.Resource{
		Name: resourceName, Object: &discoveryv1.EndpointSlice{}, Client: client,
		Namespace: s.c.Namespace, Selector: discoveryv1.LabelServiceName + "=" + s.c.Service,
		Store: kubeclient.NewTyped(convert, s.set, s.remove, s.replace),
	}
	running.Go(func() {
		// It has no end but that of ctx.
		_ = resource.Follow(ctx, health, nil, func() { health.Sync(resourceName) })
	})
	s.flush(ctx)
	return nil
}

func (s *Source) client() (*rest.RESTClient, error) {
	scheme := runtime.NewScheme()
	scheme.AddKnownTypes(discoveryv1.SchemeGroupVersion, &discoveryv1.EndpointSlice{}, &discoveryv1.EndpointSliceList{})
	http, err := rest.HTTPClientFor(s.rest)
	if err != nil {
		return nil, fmt.Errorf("make a client of Kubernetes: %w", err)
	}
	return kubeclient.Client(s.rest, http, scheme, "/apis", discoveryv1.SchemeGroupVersion)
}

// flush tells the peers when they have changed.
func (s *Source) flush(ctx context.Context) {
	var due <-chan time.Time
	told := -1
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.changed:
			if due == nil {
				due = time.After(settle)
			}
		case <-due:
			due = nil
			list := s.nodes()
			s.log(told, len(list))
			told = len(list)
			if err := s.c.Peers.Set(list); err != nil {
				s.c.Log.Warn("A node cannot be asked", "error", err)
			}
		}
	}
}

// log tells how many nodes there are when that is first known, and when there are none.
func (s *Source) log(before, now int) {
	service := s.c.Namespace + "/" + s.c.Service
	switch {
	case now == 0 && before != 0:
		s.c.Log.Warn("The service has no endpoints: there are no nodes to ask", "service", service)
	case before <= 0 && now > 0:
		s.c.Log.Info("The endpoints of the service are followed", "service", service, "nodes", now)
	}
}

func (s *Source) set(o *slice) {
	s.change(func() {
		s.tellLeft(o)
		s.slices[o.name] = o
	})
}

func (s *Source) remove(o *slice) { s.change(func() { delete(s.slices, o.name) }) }

func (s *Source) replace(all []*slice) {
	s.change(func() {
		next := make(map[string]*slice, len(all))
		for _, o := range all {
			s.tellLeft(o)
			next[o.name] = o
		}
		s.slices = next
	})
}

func (s *Source) change(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// tellLeft logs what is left out of a slice, if that is new.
func (s *Source) tellLeft(o *slice) {
	if before := s.slices[o.name]; o.left != "" && (before == nil || before.left != o.left) {
		s.c.Log.Warn("Not all of an EndpointSlice can be asked", "slice", o.name, "left out", o.left)
	}
}

// nodes are those of all slices, in no order.
func (s *Source) nodes() (list []peers.Node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	best := map[string]endpoint{}
	for _, o := range s.slices {
		for _, e := range o.endpoints {
			if before, ok := best[e.node]; !ok || e.compare(before) < 0 {
				best[e.node] = e
			}
		}
	}
	for node, e := range best {
		n := peers.Node{Name: nodename.Name(s.c.Cluster, node), Address: e.address.String()}
		if s.c.TLS {
			n.ServerName = nodename.ServerName(s.c.Cluster, node)
		}
		list = append(list, n)
	}
	return list
}
