// Package ingest turns the datapath's events into records of the history, with
// the names of their ends. It is the only writer of the history.
//
// Most events become a record at once. One of a new connection that the node may
// translate is held back, with those behind it, until the kernel was asked who is
// behind the translation: see nat.go. Policies are asked about drops and about
// connections that begin: see policy.go.
package ingest
