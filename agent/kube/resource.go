package kube

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/fovea-obs/fovea/internal/kubeclient"
)

// resource is a kind of objects that is followed.
type resource struct {
	// Its Client is nil until the definition, if there is one, is found.
	kubeclient.Resource
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
		{first: true, Resource: kubeclient.Resource{Name: "namespaces", Object: &corev1.Namespace{}, Client: c.core,
			Store: kubeclient.NewTyped(m.convertNamespace, m.setNamespace, m.removeNamespace, m.replaceNamespaces)}},
		{Resource: kubeclient.Resource{Name: "pods", Object: &corev1.Pod{}, Client: c.core,
			Store: kubeclient.NewTyped(m.convertPod, m.setPod, m.removePod, m.replacePods)}},
		{Resource: kubeclient.Resource{Name: "services", Object: &corev1.Service{}, Client: c.core,
			Store: kubeclient.NewTyped(m.convertService, m.services.set, m.services.remove, m.services.replace)}},
		{Resource: kubeclient.Resource{Name: "nodes", Object: &corev1.Node{}, Client: c.core,
			Store: kubeclient.NewTyped(m.convertNode, m.nodes.set, m.nodes.remove, m.nodes.replace)}},
		{Resource: kubeclient.Resource{Name: "endpointslices", Object: &discoveryv1.EndpointSlice{}, Client: c.discovery,
			Namespace: "default", Selector: discoveryv1.LabelServiceName + "=kubernetes",
			Store: kubeclient.NewTyped(m.convertSlice, m.slices.set, m.slices.remove, m.slices.replace)}},
		{Resource: kubeclient.Resource{Name: networkPolicies, Object: &networkingv1.NetworkPolicy{}, Client: c.networking,
			Store: kubeclient.NewTyped(m.convertPolicy, m.setPolicy, m.removePolicy, m.replacePolicies(networkPolicies))}},
	}
	if m.judge == nil {
		return all
	}
	for kind, n := range adminNames() {
		all = append(all, &resource{
			Resource: kubeclient.Resource{Name: n.resource, Object: &adminObject{}, Store: kubeclient.NewTyped(
				m.convertAdmin(adminKind(kind), n.resource), m.setPolicy, m.removePolicy, m.replacePolicies(n.resource))},
			definition: &definition{group: adminGroup, versions: n.versions, clients: c.admin, metadata: c.metadata},
		})
	}
	return all
}

// run follows the resource until ctx ends. Replaced is called when all there is
// of it was handed on.
func (r *resource) run(ctx context.Context, h *kubeclient.Health, replaced func()) {
	if r.definition != nil {
		r.runDefined(ctx, h, replaced)
		return
	}
	// It has no end but that of ctx.
	_ = r.Follow(ctx, h, nil, replaced)
}
