package kube

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// A failed request is made again after retryFirst, then after twice as long each
// time, up to retryMost, and up to twice that by chance.
const (
	retryFirst = 500 * time.Millisecond
	retryMost  = 7500 * time.Millisecond
	retrySteps = 10
	pageSize   = 500
)

// resource is a kind of objects that is followed.
type resource struct {
	name string
	// object is an empty one.
	object runtime.Object
	// client is nil until the definition, if there is one, is found.
	client *rest.RESTClient
	// namespace and selector are of the objects wanted, of all if empty.
	namespace, selector string
	store               store
	// first tells that no other is followed before this was heard of.
	first bool
	// definition is what makes the resource; nil if it is always there.
	definition *definition
}

// resources are all that is followed, and put into the mirror. Policies of
// administrators are of use only to who judges by them.
func (m *mirror) resources(c clients) []*resource {
	all := []*resource{
		// The labels of namespaces are part of what pods are called.
		{name: "namespaces", object: &corev1.Namespace{}, client: c.core, first: true,
			store: &typed[*namespace]{m.convertNamespace, m.setNamespace, m.removeNamespace, m.replaceNamespaces}},
		{name: "pods", object: &corev1.Pod{}, client: c.core,
			store: &typed[*pod]{m.convertPod, m.setPod, m.removePod, m.replacePods}},
		{name: "services", object: &corev1.Service{}, client: c.core,
			store: &typed[*serviceObject]{m.convertService, m.services.set, m.services.remove, m.services.replace}},
		{name: "nodes", object: &corev1.Node{}, client: c.core,
			store: &typed[*node]{m.convertNode, m.nodes.set, m.nodes.remove, m.nodes.replace}},
		{name: "endpointslices", object: &discoveryv1.EndpointSlice{}, client: c.discovery,
			namespace: "default", selector: discoveryv1.LabelServiceName + "=kubernetes",
			store: &typed[*slice]{m.convertSlice, m.slices.set, m.slices.remove, m.slices.replace}},
		{name: networkPolicies, object: &networkingv1.NetworkPolicy{}, client: c.networking,
			store: &typed[*policyObject]{m.convertPolicy, m.setPolicy, m.removePolicy, m.replacePolicies(networkPolicies)}},
	}
	if m.judge == nil {
		return all
	}
	for kind, n := range adminNames() {
		all = append(all, &resource{
			name: n.resource, object: &adminObject{},
			store: &typed[*policyObject]{
				m.convertAdmin(adminKind(kind), n.resource), m.setPolicy, m.removePolicy, m.replacePolicies(n.resource),
			},
			definition: &definition{group: adminGroup, versions: n.versions, clients: c.admin, metadata: c.metadata},
		})
	}
	return all
}

// run follows the resource until ctx ends. Replaced is called when all there is
// of it was handed on.
func (r *resource) run(ctx context.Context, h *health, replaced func()) {
	if r.definition != nil {
		r.runDefined(ctx, h, replaced)
		return
	}
	r.reflect(ctx, h, func(error) bool { return false }, replaced)
}

// reflect follows the resource until ctx ends, or a request does with an error
// that is the end of it. That is told to who called.
func (r *resource) reflect(ctx context.Context, h *health, isEnd func(error) bool, replaced func()) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	answered := func(err error) {
		if err != nil && isEnd(err) {
			end(err)
			return
		}
		h.answered(r.name, err)
	}
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			h.down(r.name)
			list, err := r.list(ctx, o)
			answered(err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			h.down(r.name)
			o.Watch = true
			w, err := r.request(&o).Watch(ctx)
			answered(err)
			if err != nil {
				return nil, err
			}
			h.up(r.name)
			return &watched{Interface: w, ended: sync.OnceFunc(func() { h.down(r.name) })}, nil
		},
	}
	reflector := cache.NewReflectorWithOptions(lw, r.object, &reporting{r.store, replaced}, cache.ReflectorOptions{
		Name: r.name, Backoff: backoff(retryMost),
	})
	reflector.WatchListPageSize = pageSize
	reflector.RunWithContext(ctx)
	return context.Cause(ctx)
}

// backoff begins with retryFirst.
func backoff(most time.Duration) *wait.Backoff {
	return &wait.Backoff{Duration: retryFirst, Cap: most, Steps: retrySteps, Factor: 2, Jitter: 1}
}

func (r *resource) request(o *metav1.ListOptions) *rest.Request {
	o.LabelSelector = r.selector
	return r.client.Get().NamespaceIfScoped(r.namespace, r.namespace != "").Resource(r.name).
		VersionedParams(o, metav1.ParameterCodec)
}

// list returns a page with what is kept of its objects, each in a listed.
func (r *resource) list(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	page, err := r.request(&o).Do(ctx).Get()
	if err != nil {
		return nil, err
	}
	about, err := meta.ListAccessor(page)
	if err != nil {
		return nil, fmt.Errorf("read a list of %s: %w", r.name, err)
	}
	kept := &internalversion.List{ListMeta: metav1.ListMeta{
		ResourceVersion: about.GetResourceVersion(), Continue: about.GetContinue(),
		RemainingItemCount: about.GetRemainingItemCount(),
	}}
	err = meta.EachListItem(page, func(o runtime.Object) error {
		object, err := r.store.Transformer()(o)
		kept.Items = append(kept.Items, listed{object})
		return err
	})
	return kept, err
}

// watched is a watch of which it is told when it ended.
type watched struct {
	watch.Interface
	ended func()
}

func (w *watched) Stop() {
	w.ended()
	w.Interface.Stop()
}
