// Package apiserver runs the API of a Kubernetes cluster for tests and
// benchmarks: etcd and kube-apiserver, on loopback, with nothing that acts on
// what is written there. Pods are what the test says they are: nobody runs them.
package apiserver
