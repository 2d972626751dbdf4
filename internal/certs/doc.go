// Package certs keeps the certificates of one side of a connection, as files have
// them, and gives gRPC what it needs for TLS 1.3 with them.
//
// [Load] reads the files and [Store.Watch] reads them again whenever they change,
// as they do when a Secret of Kubernetes is renewed. Each handshake is made with
// what was read last; connections that are there go on. What is read is used as a
// whole or not at all: while one of the files is missing, half written or does not
// fit the others, the former certificates stay in use, and the log says why.
//
// With authorities both sides show a certificate. A server without them serves
// clients without one; a client without them trusts those of the system.
//
// A certificate that has expired is shown all the same, as the other side decides;
// the log says so.
package certs
