package rpc

import (
	"errors"
	"io"
	"net"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

const (
	// refusalTimeout is how long a client that is refused may take to read why, and
	// maxRefused how much it may send meanwhile, in bytes.
	refusalTimeout = 2 * time.Second
	maxRefused     = 64 << 10
)

// transport serves unix sockets in plaintext, as the kernel says who may connect
// to them, and all else with TLS.
type transport struct {
	credentials.TransportCredentials // TLS
	refused                          *complaints
}

// ServerHandshake begins a connection. Why one with TLS fails is logged, and the
// client hears of it.
func (t *transport) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	if conn.LocalAddr().Network() == "unix" {
		return insecure.NewCredentials().ServerHandshake(conn)
	}
	h := &handshake{Conn: conn}
	begun, info, err := t.TransportCredentials.ServerHandshake(h)
	if err == nil {
		h.over = true
		return begun, info, nil
	}
	// Who only looks whether the port is open says nothing, and so does a server
	// that stops.
	if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
		t.refused.log("Connections refused: no TLS between us", "client", conn.RemoteAddr().String(), "error", err)
	}
	hearOut(conn)
	return nil, nil, err
}

// handshake is a connection that a handshake cannot close, as it would when it
// fails.
type handshake struct {
	net.Conn
	over bool
}

// Close closes the connection once the handshake is over.
func (h *handshake) Close() error {
	if !h.over {
		return nil
	}
	return h.Conn.Close()
}

// hearOut ends what is sent, and takes what comes until the client has closed too,
// for a while. If the connection were closed while the client sends, as clients of
// TLS 1.3 do before they know that they are refused, that would throw away the
// reason that it was sent.
func hearOut(conn net.Conn) {
	c, ok := conn.(interface{ CloseWrite() error })
	if !ok || c.CloseWrite() != nil || conn.SetReadDeadline(time.Now().Add(refusalTimeout)) != nil {
		return
	}
	// It ends in one way or another, and so does the connection.
	_, _ = io.CopyN(io.Discard, conn, maxRefused)
}

// Clone returns a copy.
func (t *transport) Clone() credentials.TransportCredentials {
	return &transport{t.TransportCredentials.Clone(), t.refused}
}
