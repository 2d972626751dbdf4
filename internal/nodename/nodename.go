// Package nodename knows how Hubble names nodes, and where their agents are.
package nodename

import (
	"net"
	"strconv"
	"strings"
)

const (
	// DefaultCluster is the cluster name that stands for none.
	DefaultCluster = "default"
	// DefaultPort is that of an agent whose address has none.
	DefaultPort = 4244

	// serverNameSuffix is where the names on agents' certificates end.
	serverNameSuffix = "hubble-grpc.cilium.io"
)

// Name is what Hubble calls a node: cluster/node, or the node's plain name in
// the cluster called default.
func Name(cluster, node string) string {
	if cluster == "" || cluster == DefaultCluster {
		return node
	}
	return cluster + "/" + node
}

// ServerName is the name that a node's certificate must be valid for. A
// wildcard stands for one label only, so the dots of both names are turned to
// dashes.
func ServerName(cluster, node string) string {
	if cluster == "" {
		cluster = DefaultCluster
	}
	return strings.ReplaceAll(node, ".", "-") + "." + strings.ReplaceAll(cluster, ".", "-") + "." + serverNameSuffix
}

// Address returns the address with the default port if it has none.
func Address(address string) string {
	if address == "" {
		return ""
	}
	if _, _, err := net.SplitHostPort(address); err == nil {
		return address
	}
	return net.JoinHostPort(strings.Trim(address, "[]"), strconv.Itoa(DefaultPort))
}
