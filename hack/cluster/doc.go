// Package cluster starts a Kubernetes cluster on this machine.
package cluster
