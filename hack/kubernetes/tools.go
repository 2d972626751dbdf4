//go:build tools

// Package kubernetes is a module of its own that pins the programs of
// Kubernetes for the tests in hack/cluster, so that what they need stays out of
// the product's go.mod. etcd and CoreDNS are modules below it, as the three need
// different versions of the same libraries. Package hack/stock builds them all.
package kubernetes

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
	_ "k8s.io/kubernetes/cmd/kube-proxy"
	_ "k8s.io/kubernetes/cmd/kube-scheduler"
	_ "k8s.io/kubernetes/cmd/kubectl"
	_ "k8s.io/kubernetes/cmd/kubelet"
)
