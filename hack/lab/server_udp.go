package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

const (
	// maxDatagram is the largest UDP payload over IPv4.
	maxDatagram = 65507
	// sinkBuffer is how many bytes may wait to be counted.
	sinkBuffer = 64 << 20
	// batch is how many datagrams are sent or received with one system call.
	batch = 64
)

// UDPServer answers or counts datagrams in a namespace until it is closed.
type UDPServer struct {
	conn net.PacketConn
	wg   sync.WaitGroup

	mu      sync.Mutex
	changed *sync.Cond
	packets int64
	bytes   int64
	closed  bool
	err     error // why the server stopped by itself
}

// ServeUDPEcho sends each datagram for address, for example ":53" for any of
// the namespace's addresses, back to its sender. The caller must close the
// server.
func ServeUDPEcho(ns *Namespace, address string) (*UDPServer, error) {
	return serveUDP(ns, address, (*UDPServer).echo)
}

// ServeUDPSink counts the datagrams for address. The caller must close the
// server.
func ServeUDPSink(ns *Namespace, address string) (*UDPServer, error) {
	return serveUDP(ns, address, (*UDPServer).sink)
}

func serveUDP(ns *Namespace, address string, run func(*UDPServer) error) (*UDPServer, error) {
	c, err := ns.ListenPacket(context.Background(), "udp", address)
	if err != nil {
		return nil, fmt.Errorf("serve UDP: %w", err)
	}
	if err := setReceiveBuffer(c.(*net.UDPConn), sinkBuffer); err != nil {
		return nil, errors.Join(fmt.Errorf("serve UDP: %w", err), c.Close())
	}
	s := &UDPServer{conn: c}
	s.changed = sync.NewCond(&s.mu)
	s.wg.Go(func() { s.err = unlessClosed(run(s)) })
	return s, nil
}

// setReceiveBuffer sets the buffer beyond the limit for ordinary users.
func setReceiveBuffer(c *net.UDPConn, size int) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var setErr error
	err = raw.Control(func(fd uintptr) {
		setErr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size)
	})
	if err := errors.Join(err, setErr); err != nil {
		return fmt.Errorf("set receive buffer: %w", err)
	}
	return nil
}

func (s *UDPServer) echo() error {
	buf := make([]byte, maxDatagram)
	for {
		n, from, err := s.conn.ReadFrom(buf)
		if err != nil {
			return err
		}
		s.received(1, n)
		// A client notices a lost answer; a server can't do more.
		_, _ = s.conn.WriteTo(buf[:n], from)
	}
}

func (s *UDPServer) sink() error {
	conn := ipv4.NewPacketConn(s.conn)
	messages := newMessages(make([]byte, 2048), batch)
	for {
		n, err := conn.ReadBatch(messages, 0)
		if err != nil {
			return err
		}
		bytes := 0
		for _, m := range messages[:n] {
			bytes += m.N
		}
		s.received(n, bytes)
	}
}

// newMessages makes n messages that share a buffer.
func newMessages(buf []byte, n int) []ipv4.Message {
	messages := make([]ipv4.Message, n)
	for i := range messages {
		messages[i].Buffers = [][]byte{buf}
	}
	return messages
}

func (s *UDPServer) received(packets, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.packets += int64(packets)
	s.bytes += int64(bytes)
	s.changed.Broadcast()
}

// Port is the port the server listens on.
func (s *UDPServer) Port() uint16 {
	return netip.MustParseAddrPort(s.conn.LocalAddr().String()).Port()
}

// Received is how many datagrams and bytes of payload the server has received.
func (s *UDPServer) Received() (packets, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.packets, s.bytes
}

// Await waits until the server has received that many datagrams. It returns an
// error if ctx ends before.
func (s *UDPServer) Await(ctx context.Context, packets int64) error {
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.changed.Broadcast()
	})
	defer stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.packets < packets {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("wait for %d datagrams, got %d: %w", packets, s.packets, err)
		}
		s.changed.Wait()
	}
	return nil
}

// Close stops the server and waits for it to end. It returns an error if the
// server had stopped by itself. It may be called more than once.
func (s *UDPServer) Close() error {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	var err error
	if !closed {
		err = s.conn.Close()
	}
	s.wg.Wait()
	return errors.Join(s.err, err)
}
