package rpc

import (
	"errors"
	"io"
	"net"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// transport serves unix sockets in plaintext, as the kernel says who may connect
// to them, and all else with TLS.
type transport struct {
	credentials.TransportCredentials // TLS
	refused                          *complaints
}

// ServerHandshake begins a connection, and logs why one with TLS fails.
func (t *transport) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	if conn.LocalAddr().Network() == "unix" {
		return insecure.NewCredentials().ServerHandshake(conn)
	}
	begun, info, err := t.TransportCredentials.ServerHandshake(conn)
	// Who only looks whether the port is open says nothing, and so does a server
	// that stops.
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
		t.refused.log("Connections refused: no TLS between us", "client", conn.RemoteAddr().String(), "error", err)
	}
	return begun, info, err
}

// Clone returns a copy.
func (t *transport) Clone() credentials.TransportCredentials {
	return &transport{t.TransportCredentials.Clone(), t.refused}
}
