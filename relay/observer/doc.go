// Package observer serves Hubble's Observer API for all nodes of a cluster: it asks
// each, and puts what they tell into one order.
//
// A node that is away, silent or in disorder costs only its own flows. A node_status
// among the flows says which it is and why; while a request follows it is asked again,
// from where it ended.
package observer
