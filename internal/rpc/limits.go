package rpc

import (
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// maxCalls bounds the calls at a time on one connection; more wait at the
	// client. A relay has one connection to an agent for all of its clients.
	maxCalls = 1024
	// defaultStreams bounds the streams of all connections: what one holds while
	// its client does not read is some 210 KiB.
	defaultStreams = 256
	// defaultConnections bounds those of one listener.
	defaultConnections = 128
	// maxMessage bounds a request, maxHeaders the headers of a call, in bytes.
	maxMessage, maxHeaders = 1 << 20, 32 << 10
	// handshakeTimeout is how long a new connection may take to begin.
	handshakeTimeout = 10 * time.Second
	// complainEvery is how often it is logged that a limit was reached.
	complainEvery = time.Minute
)

func limits() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxConcurrentStreams(maxCalls),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxHeaderListSize(maxHeaders),
		grpc.ConnectionTimeout(handshakeTimeout),
	}
}

// limitStreams refuses streams while there are as many as are allowed.
func (s *Server) limitStreams(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
		return next(srv, stream)
	default:
		s.complain.log("Streams refused: as many are open as are allowed", "allowed", cap(s.streams))
		return status.Errorf(codes.ResourceExhausted,
			"%d streams are open, which is all that this server allows: try again later", cap(s.streams))
	}
}

// limitedListener closes connections that come while there are as many as are
// allowed: those that wait would not be told why. With evict it closes the oldest of
// those that are there instead.
type limitedListener struct {
	net.Listener
	slots    chan struct{}
	evict    bool
	complain *complaints

	mu   sync.Mutex
	open []*limitedConn // the oldest first, with evict only
}

func (s *Server) limited(l net.Listener) net.Listener {
	return &limitedListener{
		Listener: l, slots: make(chan struct{}, s.connections), evict: s.evict, complain: &complaints{to: s.log},
	}
}

// Accept returns the next connection that there is room for.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if len(l.slots) == cap(l.slots) {
			l.closeOldest()
		}
		select {
		case l.slots <- struct{}{}:
			return l.admit(conn), nil
		default:
			l.complain.log("Connections refused: as many are open as are allowed",
				"address", l.Addr().String(), "allowed", cap(l.slots))
			// Nothing was sent that could be lost.
			_ = conn.Close()
		}
	}
}

func (l *limitedListener) admit(conn net.Conn) *limitedConn {
	c := &limitedConn{Conn: conn}
	c.leave = sync.OnceFunc(func() {
		l.mu.Lock()
		if i := slices.Index(l.open, c); i >= 0 {
			l.open = slices.Delete(l.open, i, i+1)
		}
		l.mu.Unlock()
		<-l.slots
	})
	if l.evict {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.open = append(l.open, c)
	}
	return c
}

// closeOldest makes room for another connection, if that may be.
func (l *limitedListener) closeOldest() {
	l.mu.Lock()
	var oldest *limitedConn
	if len(l.open) > 0 {
		oldest = l.open[0]
	}
	l.mu.Unlock()
	if oldest != nil {
		_ = oldest.Close() // it is gone for us in any case
	}
}

// limitedConn gives its room back when it is closed.
type limitedConn struct {
	net.Conn
	leave func()
}

// CloseWrite ends what is sent. It fails where the connection cannot.
func (c *limitedConn) CloseWrite() error {
	w, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return w.CloseWrite()
}

// Close closes the connection.
func (c *limitedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

// complaints are warnings that clients could cause as often as they like.
type complaints struct {
	to *slog.Logger

	mu   sync.Mutex
	last time.Time
	// others counts those that were not logged since.
	others int
}

func (c *complaints) log(what string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.last) >= complainEvery {
		c.to.Warn(what, append(args, "others", c.others)...)
		c.last, c.others = now, 0
		return
	}
	c.others++
}
