//go:build tools

// Package coredns is a module of its own that pins CoreDNS for hack/cluster.
package coredns

import _ "github.com/coredns/coredns"
