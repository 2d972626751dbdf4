package apiserver

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/fovea-obs/fovea/internal/kubeclient"
)

// Object is one of the API's, of those that a Client knows.
type Object interface {
	runtime.Object
	metav1.Object
}

// Client writes objects. Its methods are safe for concurrent use, and set the
// object to what the API has then.
type Client struct{ core, discovery, networking *rest.RESTClient }

// NewClient returns one for the cluster that a kubeconfig is for.
func NewClient(kubeconfig string) (*Client, error) {
	c, err := kubeclient.Config(kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read a kubeconfig: %w", err)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, discoveryv1.AddToScheme, networkingv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	c.QPS = -1
	http, err := rest.HTTPClientFor(c)
	if err != nil {
		return nil, err
	}
	var all Client
	for _, g := range []struct {
		to   **rest.RESTClient
		path string
		gv   schema.GroupVersion
	}{
		{&all.core, "/api", corev1.SchemeGroupVersion},
		{&all.discovery, "/apis", discoveryv1.SchemeGroupVersion},
		{&all.networking, "/apis", networkingv1.SchemeGroupVersion},
	} {
		if *g.to, err = kubeclient.Client(c, http, scheme, g.path, g.gv); err != nil {
			return nil, err
		}
	}
	return &all, nil
}

// Create makes the object, without its status.
func (c *Client) Create(ctx context.Context, o Object) error {
	return c.do(ctx, "POST", o, "", o)
}

// Update writes the object, without its status.
func (c *Client) Update(ctx context.Context, o Object) error {
	return c.do(ctx, "PUT", o, "", o)
}

// UpdateStatus writes the object's status.
func (c *Client) UpdateStatus(ctx context.Context, o Object) error {
	return c.do(ctx, "PUT", o, "status", o)
}

// Delete deletes the object after a grace period in seconds.
func (c *Client) Delete(ctx context.Context, o Object, grace int64) error {
	return c.do(ctx, "DELETE", o, "", &metav1.DeleteOptions{GracePeriodSeconds: &grace})
}

func (c *Client) do(ctx context.Context, verb string, o Object, subresource string, body runtime.Object) error {
	client, resource := c.core, ""
	switch o.(type) {
	case *corev1.Pod:
		resource = "pods"
	case *corev1.Service:
		resource = "services"
	case *corev1.Namespace:
		resource = "namespaces"
	case *corev1.Node:
		resource = "nodes"
	case *discoveryv1.EndpointSlice:
		client, resource = c.discovery, "endpointslices"
	case *networkingv1.NetworkPolicy:
		client, resource = c.networking, "networkpolicies"
	default:
		return fmt.Errorf("no resource for %T", o)
	}
	r := client.Verb(verb).NamespaceIfScoped(o.GetNamespace(), o.GetNamespace() != "").Resource(resource).Body(body)
	if verb != "POST" {
		if r = r.Name(o.GetName()); subresource != "" {
			r = r.SubResource(subresource)
		}
	}
	result := r.Do(ctx)
	if verb == "DELETE" {
		return result.Error()
	}
	return result.Into(o)
}
