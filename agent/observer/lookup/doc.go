// Package lookup knows what the numbers in a record stand for, and how Hubble
// says it. Filters and the encoder share it, so that a flow is found by what it
// is shown as.
package lookup
