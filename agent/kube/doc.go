// Package kube takes endpoints, services, nodes and network policies of all kinds
// from the API of a Kubernetes cluster.
//
// # What is followed
//
// Pods, Namespaces, Services, Nodes, NetworkPolicies, and the EndpointSlices of
// the Service default/kubernetes, which say where the API servers are. Each is
// listed and watched by a Reflector of client-go. No object of the API is kept:
// it is turned into the little that is needed as it comes in, and strings that
// repeat, as labels do, are held once. Who may write objects can write very large
// ones: of each no more is kept than limits.go says, and the log tells of it.
//
// # Policies of administrators
//
// AdminNetworkPolicies and BaselineAdminNetworkPolicies (of the group
// policy.networking.k8s.io, v1alpha1) and ClusterNetworkPolicies (v1beta1, or
// v1alpha2 where that is all there is) are followed if policies are judged by, and
// while the cluster has these kinds. That is asked of the API's list of resources
// at the start. While there is no such kind, its CustomResourceDefinition is
// watched; when one goes, its policies are gone. That nothing is there is no
// failure. What is there and may not be seen is logged once, and told by
// [Source.Degraded].
//
// The rights needed are to list and watch the three resources, and, so that a kind
// that comes is heard of at once and not after some minutes, to watch the
// CustomResourceDefinitions of these three names.
//
// A policy that has a field or a value which is not known says nothing new: what it
// said before holds, and the log tells of it.
//
// # Whose an address is
//
// A pod has the addresses of its status from the time that its kubelet accepted
// it, so that flows from before the agent heard of it are found too. Pods that
// run when the first list comes have them from time 0 on, as clocks of nodes
// differ. A pod that is told to end is leaving: its addresses may be another's
// at any moment and say nothing more of it. It is removed when it has completed
// or is deleted. Times in which two pods claim an address overlap in the table,
// which then names neither: so it is with a pod that was removed with no notice,
// and another that was accepted before we heard of that. Only where a pod was
// seen to leave does the next one begin after it.
//
// Pods of the host's network share the addresses of their node and are not
// endpoints. A pod made anew under its name is another one.
//
// # What pods are called
//
// Labels are those of Cilium: the pod's, its namespace's, its service account,
// and the names of namespace and cluster. When a namespace is relabelled, its
// pods get new versions. Workloads come from the pod's controller alone: a
// ReplicaSet is a Deployment's if its name ends with the pod's template hash, and
// a Job is a CronJob's if its name ends with the minute that it was due.
//
// # When the API cannot be reached
//
// What is known stays, and the API is asked again and again, at least every 15
// seconds. [Source.Degraded] tells of it, and the log once for each time.
package kube
