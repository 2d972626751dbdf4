// Package relay joins the rooms below it to a relay: one place to ask for the flows of
// all nodes.
package relay
