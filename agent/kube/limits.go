package kube

import "unicode/utf8"

// What is kept of one object at most. The API lets through more of some of it,
// and what is kept of a pod is told with each of its flows.
const (
	maxAddresses = 1024
	maxRanges    = 64
	// maxLabels are of a pod, and as many of its namespace.
	maxLabels    = 1024
	maxFrontends = 4096
	// maxPorts are the named ones of a pod.
	maxPorts = 256
	// maxTerms are all rules, peers, ports, requirements, values and exceptions of a
	// policy together.
	maxTerms = 16384
	// maxName is how long a name is, in bytes, where the API takes any.
	maxName = 253
)

// isName tells whether a name can be told: clients understand UTF-8 only.
func isName(s string) bool { return s != "" && len(s) <= maxName && utf8.ValidString(s) }
