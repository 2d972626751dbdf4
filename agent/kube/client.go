package kube

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/fovea-obs/fovea/internal/kubeclient"
)

// clients ask for the objects of each group of the API, over one connection.
type clients struct {
	core, discovery, networking *rest.RESTClient
	// admin are of the versions of the group of administrators' policies.
	admin map[string]*rest.RESTClient
	// metadata asks for the metadata of any objects.
	metadata metadata.Interface
}

func newClients(c *rest.Config) (all clients, err error) {
	scheme := runtime.NewScheme()
	scheme.AddKnownTypes(corev1.SchemeGroupVersion,
		&corev1.Pod{}, &corev1.PodList{}, &corev1.Namespace{}, &corev1.NamespaceList{},
		&corev1.Service{}, &corev1.ServiceList{}, &corev1.Node{}, &corev1.NodeList{})
	scheme.AddKnownTypes(discoveryv1.SchemeGroupVersion, &discoveryv1.EndpointSlice{}, &discoveryv1.EndpointSliceList{})
	scheme.AddKnownTypes(networkingv1.SchemeGroupVersion, &networkingv1.NetworkPolicy{}, &networkingv1.NetworkPolicyList{})
	versions := addAdminTypes(scheme)
	http, err := rest.HTTPClientFor(c)
	if err != nil {
		return all, fmt.Errorf("make a client of Kubernetes: %w", err)
	}
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
			return all, err
		}
	}
	all.admin = map[string]*rest.RESTClient{}
	for _, gv := range versions {
		config := rest.CopyConfig(c)
		// What a CustomResourceDefinition makes has no other form.
		config.AcceptContentTypes, config.ContentType = runtime.ContentTypeJSON, runtime.ContentTypeJSON
		if all.admin[gv.Version], err = kubeclient.Client(config, http, scheme, "/apis", gv); err != nil {
			return all, err
		}
	}
	if all.metadata, err = metadata.NewForConfigAndClient(c, http); err != nil {
		return all, fmt.Errorf("make a client of metadata: %w", err)
	}
	return all, nil
}
