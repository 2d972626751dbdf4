package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
)

// TCPServer serves TCP connections in a namespace until it is closed.
type TCPServer struct {
	listener net.Listener
	handle   func(*TCPServer, *net.TCPConn)
	wg       sync.WaitGroup

	conns atomic.Int64
	bytes atomic.Int64

	mu     sync.Mutex
	open   map[*net.TCPConn]struct{}
	closed bool
	err    error // why the server stopped by itself
}

// ServeEcho sends back what it receives on each connection to address, for
// example ":8080" for any of the namespace's addresses, and closes when the
// client has. The caller must close the server.
func ServeEcho(ns *Namespace, address string) (*TCPServer, error) {
	return serveTCP(ns, address, (*TCPServer).echo)
}

// ServeSink reads each connection to address to its end and closes it. The
// caller must close the server.
func ServeSink(ns *Namespace, address string) (*TCPServer, error) {
	return serveTCP(ns, address, (*TCPServer).sink)
}

func serveTCP(ns *Namespace, address string, handle func(*TCPServer, *net.TCPConn)) (*TCPServer, error) {
	l, err := ns.Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("serve TCP: %w", err)
	}
	s := &TCPServer{listener: l, handle: handle, open: make(map[*net.TCPConn]struct{})}
	s.wg.Go(s.accept)
	return s, nil
}

// Port is the port the server listens on.
func (s *TCPServer) Port() uint16 {
	return netip.MustParseAddrPort(s.listener.Addr().String()).Port()
}

// Connections is how many connections the server has accepted.
func (s *TCPServer) Connections() int { return int(s.conns.Load()) }

// Bytes is how many bytes the server has received.
func (s *TCPServer) Bytes() int64 { return s.bytes.Load() }

// Close stops listening, breaks off connections still open and waits for all
// of them to end. It returns an error if the server had stopped by itself. It
// may be called more than once.
func (s *TCPServer) Close() error {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	for c := range s.open {
		c.Close()
	}
	s.mu.Unlock()
	var err error
	if !closed {
		err = s.listener.Close()
	}
	s.wg.Wait()
	return errors.Join(s.err, err)
}

func (s *TCPServer) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			s.err = unlessClosed(err)
			return
		}
		s.conns.Add(1)
		conn := c.(*net.TCPConn)
		if !s.register(conn) {
			conn.Close()
			return
		}
		s.wg.Go(func() {
			defer s.unregister(conn)
			s.handle(s, conn)
		})
	}
}

// unlessClosed returns err if it is not the consequence of a close.
func unlessClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return fmt.Errorf("serve: %w", err)
}

func (s *TCPServer) register(c *net.TCPConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.open[c] = struct{}{}
	}
	return !s.closed
}

func (s *TCPServer) unregister(c *net.TCPConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
	c.Close()
}

// echo copies through a buffer in this process, so that the data is what a
// server would have received.
func (s *TCPServer) echo(c *net.TCPConn) {
	s.receive(c, make([]byte, chunk), func(b []byte) error {
		_, err := c.Write(b)
		return err
	})
}

func (s *TCPServer) sink(c *net.TCPConn) {
	s.receive(c, make([]byte, bulkChunk), func([]byte) error { return nil })
}

func (s *TCPServer) receive(r io.Reader, buf []byte, use func([]byte) error) {
	for {
		n, err := r.Read(buf)
		s.bytes.Add(int64(n))
		if useErr := use(buf[:n]); err != nil || useErr != nil {
			return
		}
	}
}
