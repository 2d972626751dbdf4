// Package rpc sets up the gRPC servers that speak Hubble's APIs.
//
// [New] gives a server that has what every one of them needs: a panic in a
// handler ends that call only and is logged; the health service names what
// Hubble's clients ask for; reflection is registered; connections that are gone
// are noticed; headers, such as the server's version, go with every response.
// Services are registered on it as on any [google.golang.org/grpc.Server].
//
// Clients cannot take more of the node than there is to give: the streams of all
// together, the connections of each listener, the size of requests and headers
// and the time of a handshake are bounded. A stream too many is refused with
// ResourceExhausted, a connection too many is closed.
//
// A server that has something to serve only later says so by its health: see [Config].Ready.
// One without services is for probes, which ask for nothing else.
//
// What is to be seen of all calls, as metrics are, is given to [Config] as an interceptor.
//
// [Listen] opens what it serves on, a unix socket or a TCP address, and
// [Server.Serve] serves until its context ends, then ends all calls and waits
// for them. [Server.ListenAndServe] is both.
//
// A handler that streams much can send a [Wire], a message that it encoded
// itself. The buffers to write from are larger than gRPC's own; flow-control
// windows are gRPC's.
//
// A client that forwards what it receives asks with a [RawCodec], and gets each message
// as a [Piece], in the memory that it came into. A server sends that on as it is.
//
// TCP is served with [Config].TLS, if there is any, and unix sockets in plaintext:
// their files say who may connect. All have the same services and limits. A
// client that TLS refuses is told why, and so is the log.
package rpc
