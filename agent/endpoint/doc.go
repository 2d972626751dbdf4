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
//
// # Which interface
//
// A source that does not know interfaces says that an endpoint is local. The
// datapath says which addresses the far end of each interface has
// ([Table.SetFarAddresses]), and the endpoint is behind the one that has its
// address, for as long as that exists. What a far end has is known, and counts
// more than what a source says of an address.
//
// # What is told late
//
// With [Table.Await], flows may come before it is told who their ends are. Each
// interface and each address of which nothing is known then has a number of its
// own, and whoever it turns out to be gets that number too: who holds it sees
// the endpoint from then on, and [Table.Epoch] changes.
//
// A source that knows an endpoint early and not all of it tells so by
// [Table.Suggest]. What another tells of it by [Table.Set] takes its place, also
// for who holds its numbers.
package endpoint
