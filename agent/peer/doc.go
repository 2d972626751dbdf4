// Package peer serves Hubble's Peer API, by which a relay learns which nodes there are.
//
// [Nodes] are what a source says of the cluster's nodes; without one that is
// this node alone. The [Server] streams them to each client that subscribes: all
// that are there, this one first, and then those that came, changed or went.
package peer
