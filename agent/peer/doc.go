// Package peer serves Hubble's Peer API, by which a relay learns which nodes
// there are, and knows how Hubble names them.
//
// An agent tells of itself only: the [Server] announces its node when a client
// subscribes, and has nothing to add until the client goes.
package peer
