//go:build tools

// Package hubble is a module of its own that pins the stock Hubble command line
// for tests and the demo, so that what it needs stays out of the product's
// go.mod. Package hack/stock builds it.
package hubble

import _ "github.com/cilium/cilium/hubble"
