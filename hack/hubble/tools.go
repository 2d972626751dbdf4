//go:build tools

// Package hubble is a module of its own that pins the stock Hubble command line
// for tests and the demo, and Hubble's server and relay for benchmarks, so that
// what they need stays out of the product's go.mod. Package hack/stock builds them, and
// package oracle in here holds the agent against what is in Hubble.
package hubble

import (
	_ "github.com/cilium/cilium/hubble"
	_ "github.com/cilium/cilium/hubble-relay"
)
