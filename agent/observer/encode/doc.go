// Package encode writes records as Hubble's messages, straight in the form that
// goes over the wire: no message is made in between.
//
// # What is written
//
// A field mask is compiled once, for a request. What it leaves out is then not
// looked at, in messages within messages too. The bytes are those that
// proto.Marshal gives for the same message: fields in the order of their
// numbers, and the keys of maps sorted.
//
// # What is remembered
//
// What stands behind a number repeats. The messages of endpoints, which are the
// longest, are kept by a [Factory] for all encoders of a server, for a few masks.
// Those of services, names, drops and verdicts an [Encoder] keeps itself, of so many as a
// bound allows, until their numbers may stand for something else: see
// [Encoder.Renew].
//
// Text that is not UTF-8, of which a network interface may be named, is made so:
// clients refuse a whole message for it.
package encode
