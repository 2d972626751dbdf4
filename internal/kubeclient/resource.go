package kubeclient

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

const (
	retryFirst = 500 * time.Millisecond
	retrySteps = 10
	pageSize   = 500
	// RetryMost is the most of [Backoff] after which a failed request is made again.
	RetryMost = 7500 * time.Millisecond
)

// Resource is a kind of objects that is followed.
type Resource struct {
	Name string
	// Object is an empty one.
	Object runtime.Object
	Client *rest.RESTClient
	// Namespace and Selector are of the objects wanted, of all if empty.
	Namespace, Selector string
	Store               Store
}

// Follow follows the resource until ctx ends, or a request does with an error that is
// the end of it, which is returned; there is none if isEnd is nil. Replaced is called
// when all there is of the resource was handed on. H must have been told of it by Add.
func (r *Resource) Follow(ctx context.Context, h *Health, isEnd func(error) bool, replaced func()) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	answered := func(err error) {
		if err != nil && isEnd != nil && isEnd(err) {
			end(err)
			return
		}
		h.Answered(r.Name, err)
	}
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			h.Down(r.Name)
			list, err := r.list(ctx, o)
			answered(err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			h.Down(r.Name)
			o.Watch = true
			w, err := r.request(&o).Watch(ctx)
			answered(err)
			if err != nil {
				return nil, err
			}
			h.Up(r.Name)
			return &watched{Interface: w, ended: sync.OnceFunc(func() { h.Down(r.Name) })}, nil
		},
	}
	reflector := cache.NewReflectorWithOptions(lw, r.Object, &reporting{r.Store, replaced}, cache.ReflectorOptions{
		Name: r.Name, Backoff: Backoff(RetryMost),
	})
	reflector.WatchListPageSize = pageSize
	reflector.RunWithContext(ctx)
	return context.Cause(ctx)
}

// Backoff says how long to wait after each failure: half a second at first, then twice
// as long each time up to most, and up to twice that by chance.
func Backoff(most time.Duration) *wait.Backoff {
	return &wait.Backoff{Duration: retryFirst, Cap: most, Steps: retrySteps, Factor: 2, Jitter: 1}
}

func (r *Resource) request(o *metav1.ListOptions) *rest.Request {
	o.LabelSelector = r.Selector
	return r.Client.Get().NamespaceIfScoped(r.Namespace, r.Namespace != "").Resource(r.Name).
		VersionedParams(o, metav1.ParameterCodec)
}

// list returns a page with what is kept of its objects, each in a listed.
func (r *Resource) list(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	page, err := r.request(&o).Do(ctx).Get()
	if err != nil {
		return nil, err
	}
	about, err := meta.ListAccessor(page)
	if err != nil {
		return nil, fmt.Errorf("read a list of %s: %w", r.Name, err)
	}
	kept := &internalversion.List{ListMeta: metav1.ListMeta{
		ResourceVersion: about.GetResourceVersion(), Continue: about.GetContinue(),
		RemainingItemCount: about.GetRemainingItemCount(),
	}}
	err = meta.EachListItem(page, func(o runtime.Object) error {
		object, err := r.Store.Transformer()(o)
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
