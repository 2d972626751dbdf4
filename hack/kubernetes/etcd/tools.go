//go:build tools

// Package etcd is a module of its own that pins etcd for hack/cluster.
package etcd

import _ "go.etcd.io/etcd/server/v3"
