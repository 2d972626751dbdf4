// Package ask asks one node for flows, and has them come as they went over the wire.
//
// Agents of ours are asked for batches (package foveapb); who does not know these is
// asked as any Hubble server. Of a response only the time is looked for, and where it
// is told between the fields that a client asks for.
//
// What no client could read would end all that a client reads, of other nodes too. A node
// that sends such a thing mostly does from its first word on: so the first responses of a
// stream are read whole, and one now and then after that.
package ask
