package kube

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/fovea-obs/fovea/internal/kubeclient"
)

// retrySlow is for what is as it is until somebody changes it: as kubeclient.RetryMost.
const retrySlow = 150 * time.Second

// definition is a CustomResourceDefinition, which makes a resource of its name. It
// may be there from the start, come later and go.
//
// Whether it is there is asked of the API's list of resources, which everybody may
// see. The rights to list and watch the resource are needed only where it is.
// While it is not, the definition is watched, by name and without its content. The
// right to watch CustomResourceDefinitions of these names is of use for that but
// not needed: without it, the list is asked again, after a while that grows to
// some minutes.
type definition struct {
	group string
	// versions are those that are understood, the best first.
	versions []string
	clients  map[string]*rest.RESTClient
	metadata metadata.Interface
}

// runDefined follows the resource while there is one, until ctx ends. When it goes,
// its objects are gone. Replaced is called too when there is nothing to hand on: no
// resource, or no right to it.
func (r *resource) runDefined(ctx context.Context, h *kubeclient.Health, replaced func()) {
	soon, slow := kubeclient.Backoff(kubeclient.RetryMost), kubeclient.Backoff(retrySlow)
	for {
		client, err := r.served(ctx)
		if client != nil {
			of := *r
			of.Client = client
			err = of.Follow(ctx, h, isEnd, func() {
				soon, slow = kubeclient.Backoff(kubeclient.RetryMost), kubeclient.Backoff(retrySlow)
				replaced()
			})
		}
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			r.none(h, replaced)
			r.await(ctx, slow)
		case apierrors.IsForbidden(err):
			h.Refuse(r.Name, err)
			replaced()
			pause(ctx, slow.Step())
		case apierrors.IsNotFound(err):
			pause(ctx, soon.Step())
		default:
			h.Down(r.Name)
			h.Answered(r.Name, err)
			pause(ctx, soon.Step())
		}
	}
}

// none says that there is no such resource.
func (r *resource) none(h *kubeclient.Health, replaced func()) {
	// There is nothing in it that it could fail with.
	_ = r.Store.Replace(nil, "")
	h.Up(r.Name)
	replaced()
}

// isEnd tells whether an error says that the resource is not there, or not for us.
func isEnd(err error) bool { return apierrors.IsNotFound(err) || apierrors.IsForbidden(err) }

// served returns the client of the best version in which there is the resource,
// nil if it is not there.
func (r *resource) served(ctx context.Context) (*rest.RESTClient, error) {
	for _, v := range r.definition.versions {
		client := r.definition.clients[v]
		var list metav1.APIResourceList
		err := client.Get().AbsPath("/apis", r.definition.group, v).Do(ctx).Into(&list)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for i := range list.APIResources {
			if list.APIResources[i].Name == r.Name {
				return client, nil
			}
		}
	}
	return nil, nil
}

// await waits until the resource may be there, or ctx ends. It takes no longer than
// slow says where it is not told of changes.
func (r *resource) await(ctx context.Context, slow *wait.Backoff) {
	begun := time.Now()
	w, err := r.definition.metadata.Resource(schema.GroupVersionResource{
		Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions",
	}).Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + r.Name + "." + r.definition.group})
	if err != nil {
		pause(ctx, slow.Step())
		return
	}
	defer w.Stop()
	// A definition that is there is not served at once, and one of other versions
	// never is.
	there := false
	for {
		var again <-chan time.Time
		if there {
			again = time.After(slow.Step())
		}
		select {
		case <-ctx.Done():
			return
		case e, open := <-w.ResultChan():
			if time.Since(begun) > retrySlow {
				*slow = *kubeclient.Backoff(retrySlow)
			}
			if !open || e.Type == watch.Error {
				// As watches do now and then.
				pause(ctx, slow.Step())
				return
			}
			if there = e.Type != watch.Deleted; !there {
				continue
			}
			*slow = *kubeclient.Backoff(retrySlow)
		case <-again:
		}
		if client, err := r.served(ctx); client != nil || err != nil {
			return
		}
	}
}

// pause waits for so long, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
