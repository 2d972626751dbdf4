// Package observer serves Hubble's Observer API over the agent's history.
//
// # A request's way
//
// GetFlows has package filter compile its filters to a plan once. A reader then
// goes through the history's chunks. It holds a chunk only while it looks at it:
// the plan picks the rows that pass, and package encode writes those straight
// into bytes as they go over the wire, with the parts that the field mask asks
// for. What was written is sent when the chunk is let go, so a client that does
// not read holds up nobody. Filters on endpoints, services and names are asked
// once of each interned number; the rest look at the history's columns, and a
// chunk that has nothing of what is asked for, by its summary, is passed over.
// Package lookup knows what numbers stand for, for both.
//
// Streams look through the history one chunk at a time each, and together with
// half of the processors: the other half is ingest's.
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
// when it began. The newest flow can be read as soon as it was written. A stream
// that follows waits a moment for a flow whose ends may still be told of: see
// endpoint.Table.Await.
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
// ServerStatus and GetNodes count flows and not what was lost, and the rate is of
// the last minute, or of as much of it as the history holds.
//
// # Agent events
//
// GetAgentEvents tells what package event keeps: that the agent started, the
// endpoints of this node that came, changed and went, the services, and the
// network policies where a source knows them. Its
// fields work together as those of GetFlows do. An endpoint is one that has an
// interface here, and its id is that of flows, the interface's index. One that
// changed, in its labels or its workload, is told as regenerated. A service is
// told frontend by frontend, each with an id of its own, without its backends
// and type, which no table knows. Events that were overwritten before a slow
// client was sent them are left out: the API has no message for that.
//
// Debug events are those of Cilium's datapath, which has them only when told so.
// GetDebugEvents answers as such a Cilium does that was not: there is none, and a
// client that follows waits for the first. So clients that ask for all there is
// need not know who answers.
//
// # What is refused
//
// All that the API does not allow fails with InvalidArgument and names the
// field, the value and what is allowed; so does a filter field that this
// package does not know, since to ignore it would answer another question. A
// filter on something that no flow of this agent has, such as HTTP, matches
// nothing, but its value is checked.
//
// A list of filters may have 128 of them and 128 KiB, as each flow is held
// against all. How many may ask at a time is the server's to bound: see package
// rpc.
//
// # Where flows differ from Cilium's
//
// Their uuid tells where they lie: see lookup.FormatUUID. Drops are the kernel's:
// drop_reason_desc is unknown unless one of Hubble's reasons says the same as the
// kernel's, and the event's sub-type then is 255. Where the kernel's table of
// connections is inferred to be full it is CT_MAP_INSERTION_FAILED. What policies deny is
// POLICY_DENIED, and both a drop and a policy verdict, as in Hubble; verdicts count
// no packets. The kernel's own words are in Summary and in extensions, a
// google.protobuf.Struct:
//
//	packets, bytes   what the flow stands for
//	drop.reason      a name of enum skb_drop_reason
//	drop.location    the kernel function, or address, that dropped the packet
//	drop.reason_inferred
//	                 "conntrack full" if that is inferred
//	drop.engine      who named the policy that denied it, if not the agent
//	policy_inferred  true if the agent inferred what policies say
//	reply_inferred   true if is_reply was inferred from ports
//
// # Relays
//
// [Server.Batches] answers the same requests with many responses in a message, and
// tells a stream that follows how far it has come.
package observer
