package kube

import (
	"encoding/json"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// adminGroup is the group of the API that has the policies of a cluster's
// administrators. Its kinds are made by CustomResourceDefinitions.
const adminGroup = "policy.networking.k8s.io"

// adminKind is a kind of that group.
type adminKind uint8

const (
	adminPolicy adminKind = iota
	baselinePolicy
	clusterPolicy
)

// adminName is what the API calls a kind.
type adminName struct {
	kind, resource string
	// versions are those that are understood, the best first. The two of a
	// ClusterNetworkPolicy are alike.
	versions []string
}

// adminNames are those of all kinds, in order.
func adminNames() []adminName {
	return []adminName{
		adminPolicy:    {"AdminNetworkPolicy", "adminnetworkpolicies", []string{"v1alpha1"}},
		baselinePolicy: {"BaselineAdminNetworkPolicy", "baselineadminnetworkpolicies", []string{"v1alpha1"}},
		clusterPolicy:  {"ClusterNetworkPolicy", "clusternetworkpolicies", []string{"v1beta1", "v1alpha2"}},
	}
}

// adminObject is an object of any of these kinds. Its spec is read later, as
// strictly as the Go types of the API cannot: see readAdmin.
type adminObject struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              json.RawMessage `json:"spec"`
}

// DeepCopyObject copies all.
func (o *adminObject) DeepCopyObject() runtime.Object {
	return &adminObject{o.TypeMeta, *o.ObjectMeta.DeepCopy(), slices.Clone(o.Spec)}
}

// adminList is a list of objects of one kind.
type adminList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`
	Items           []adminObject `json:"items"`
}

// DeepCopyObject copies all.
func (l *adminList) DeepCopyObject() runtime.Object {
	c := &adminList{TypeMeta: l.TypeMeta, ListMeta: *l.ListMeta.DeepCopy()}
	for i := range l.Items {
		c.Items = append(c.Items, *l.Items[i].DeepCopyObject().(*adminObject))
	}
	return c
}

// addAdminTypes has a scheme know all kinds, and returns their versions.
func addAdminTypes(scheme *runtime.Scheme) (all []schema.GroupVersion) {
	for _, k := range adminNames() {
		for _, v := range k.versions {
			gv := schema.GroupVersion{Group: adminGroup, Version: v}
			scheme.AddKnownTypeWithName(gv.WithKind(k.kind), &adminObject{})
			scheme.AddKnownTypeWithName(gv.WithKind(k.kind+"List"), &adminList{})
			if !slices.Contains(all, gv) {
				all = append(all, gv)
			}
		}
	}
	return all
}
