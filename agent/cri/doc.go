// Package cri takes the pods of this node from its container runtime, by the
// Container Runtime Interface, version v1, as containerd and CRI-O serve it.
//
// The runtime knows of a pod, its addresses and its labels as soon as its sandbox
// is made, some seconds before the API tells of it, and also while there is no
// API. It does not know all: not the labels of the pod's namespace, not its
// workload. So what it says is suggested to the table ([endpoint.Table.Suggest])
// under the pod's uid, which is the key that package kube uses too: what the API
// says takes its place, and completes flows that were told already.
//
// Nothing is told of pods in the node's own network, which are no endpoints, and
// of static pods, which have another uid in the API.
//
// # How it is followed
//
// Where the runtime serves its events, each of them, and otherwise the clock, has
// the sandboxes listed. Only of one that is new it is asked what it is. A runtime
// that does not answer is asked again and again; what was known stays until it
// does. [Source.Degraded] tells of it, and the log once for each time.
package cri
