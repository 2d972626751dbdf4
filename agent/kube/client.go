package kube

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// requests a second, and at once: a list of many pods is many pages.
const (
	requestRate  = 20
	requestBurst = 50
)

// InCluster tells whether this runs in a pod with a service account.
func InCluster() bool {
	_, err := rest.InClusterConfig()
	return err == nil
}

// restConfig returns how to reach the API: see Config.Kubeconfig.
func restConfig(kubeconfig string) (*rest.Config, error) {
	var c *rest.Config
	var err error
	if kubeconfig == "" {
		c, err = rest.InClusterConfig()
		if errors.Is(err, rest.ErrNotInCluster) {
			err = errors.New("this is no pod with a service account, and no kubeconfig was given")
		}
	} else {
		c, err = clientcmd.BuildConfigFromFlags("", kubeconfig)
	}
	if err != nil {
		return nil, err
	}
	c.UserAgent = "fovea"
	c.QPS, c.Burst = requestRate, requestBurst
	c.WarningHandlerWithContext = rest.NoWarnings{}
	c.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	c.ContentType = "application/vnd.kubernetes.protobuf"
	return c, nil
}

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
	codecs := serializer.NewCodecFactory(scheme).WithoutConversion()
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
		metav1.AddToGroupVersion(scheme, g.gv)
		config := rest.CopyConfig(c)
		config.APIPath, config.GroupVersion, config.NegotiatedSerializer = g.path, &g.gv, codecs
		if *g.to, err = rest.RESTClientForConfigAndClient(config, http); err != nil {
			return all, fmt.Errorf("make a client of %s: %w", g.gv, err)
		}
	}
	all.admin = map[string]*rest.RESTClient{}
	for _, gv := range versions {
		metav1.AddToGroupVersion(scheme, gv)
		config := rest.CopyConfig(c)
		config.APIPath, config.GroupVersion, config.NegotiatedSerializer = "/apis", &gv, codecs
		// What a CustomResourceDefinition makes has no other form.
		config.AcceptContentTypes, config.ContentType = runtime.ContentTypeJSON, runtime.ContentTypeJSON
		if all.admin[gv.Version], err = rest.RESTClientForConfigAndClient(config, http); err != nil {
			return all, fmt.Errorf("make a client of %s: %w", gv, err)
		}
	}
	if all.metadata, err = metadata.NewForConfigAndClient(c, http); err != nil {
		return all, fmt.Errorf("make a client of metadata: %w", err)
	}
	return all, nil
}
