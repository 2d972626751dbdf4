// Package ingest turns the kernel's events into records: it asks the tables who
// the two ends are, and is the only writer of the history.
package ingest
