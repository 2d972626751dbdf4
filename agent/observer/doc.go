// Package observer serves Hubble's Observer API over the agent's history.
//
// # A request's way
//
// GetFlows compiles its filters to a plan once. A reader then goes through the
// history's chunks, holds each only while it looks at it, lets the plan pick
// the rows that pass, block by block, and copies those. Only for them an
// encoder writes a [flow.Flow], with the parts that the field mask asks for.
// Filters on endpoints and services are asked once of each interned number, as
// what that stands for never changes; the rest look at the history's columns.
//
// # Which flows are sent
//
//   - first: the oldest, number of them.
//   - follow: what comes, after the last number of those there are, if any.
//     Not valid together with first.
//   - otherwise the last number, or all if number is 0.
//   - since: from that time on, in place of the above; number then is how many
//     of the first ones, without follow.
//   - until: up to that time. The last number are the last ones before it, and
//     a stream that follows ends at the first flow after it.
//
// Both times are included. Without follow, the request ends with what was there
// when it began. The newest flow can be read as soon as it was written.
//
// # What is lost
//
// Losses are told among the flows, whatever the filters, and are not counted
// by number. Events that the kernel had no room for have the source
// PERF_EVENT_RING_BUFFER, at the time and CPU where they were missed. A reader
// that is too slow, or stops receiving, does not hold up the writer: what was
// overwritten before it was read is told as HUBBLE_RING_BUFFER with the number
// of flows and the time at which it goes on. A look-up of flows by uuid goes
// straight to them and passes other losses over.
//
// # What is refused
//
// All that the API does not allow fails with InvalidArgument and names the
// field, the value and what is allowed; so does a filter field that this
// package does not know, since to ignore it would answer another question. A
// filter on something that no flow of this agent has, such as HTTP, matches
// nothing, but its value is checked.
//
// # Where flows differ from Cilium's
//
// Their uuid tells where they lie: see [FormatUUID]. Drops are the kernel's: it
// does not know of policies, so drop_reason_desc is unknown unless one of
// Hubble's reasons says the same as the kernel's, and the event's sub-type then
// is 255. The kernel's own words are in Summary and in extensions, a
// [structpb.Struct]:
//
//	packets, bytes   what the flow stands for
//	drop.reason      a name of enum skb_drop_reason
//	drop.location    the kernel function, or address, that dropped the packet
//	reply_inferred   true if is_reply was inferred from ports
package observer
