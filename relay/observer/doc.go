// Package observer serves Hubble's Observer API for all nodes of a cluster: it asks
// each, and puts what they tell into one order.
//
// A node that is away, silent or in disorder costs only its own flows. A node_status
// among the flows says which it is and why; while a request follows it is asked again,
// from where it ended, and if it knows no longer what came after that, LostEvents say so.
//
// A call asks each node by a [source], whose goroutine reads what the node tells and puts
// it into the call's inbox; there it waits while the call holds too much of it. The
// call's own goroutine merges and sends.
package observer
