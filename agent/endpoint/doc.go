// Package endpoint knows who is behind an interface or an address, at a
// moment.
//
// An [Endpoint] is one version of what is known about a pod, a node or the
// world outside: its name, labels, workload and identity. Versions are
// immutable and interned to a small [Number], so that a flow keeps what its pod
// was at the time, and a filter on labels is evaluated once per version.
//
// A [Table] is filled by a source (a file, the Kubernetes API) and by the
// datapath, which knows the interfaces, and asked by ingest. It answers two
// questions. The local end of a flow is whoever is behind the interface it was
// seen on; an address is only evidence. The other end is looked up by address,
// at the flow's time: an address has intervals, and what it meant is kept for a
// while after it ended. What is not known is told as unknown.
package endpoint
