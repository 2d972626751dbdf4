package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
)

// SCTPServer answers each SCTP INIT with an INIT ACK until it is closed. It
// works without the kernel's SCTP; where that is loaded, the kernel answers
// with an ABORT as well.
type SCTPServer struct {
	conn net.PacketConn
	port uint16
	wg   sync.WaitGroup
	once sync.Once
	err  error // of the goroutine, then of Close
}

// ServeSCTP answers in ns for one address and port. The caller must close the
// server.
func ServeSCTP(ns *Namespace, address netip.AddrPort) (*SCTPServer, error) {
	c, err := listenSCTP(ns, address.Addr())
	if err != nil {
		return nil, fmt.Errorf("serve SCTP: %w", err)
	}
	s := &SCTPServer{conn: c, port: address.Port()}
	s.wg.Go(func() { s.err = unlessClosed(s.serve()) })
	return s, nil
}

// listenSCTP makes a raw socket for SCTP with the address.
func listenSCTP(ns *Namespace, addr netip.Addr) (net.PacketConn, error) {
	network := "ip4:132"
	if addr.Is6() {
		network = "ip6:132"
	}
	return ns.ListenPacket(context.Background(), network, addr.String())
}

func (s *SCTPServer) serve() error {
	buf := make([]byte, 2048)
	for {
		n, from, err := s.conn.ReadFrom(buf)
		if err != nil {
			return err
		}
		p, err := parseSCTP(buf[:n])
		if err != nil || p.chunk != sctpInit || p.dstPort != s.port {
			continue
		}
		answer := sctpPacket{
			srcPort: p.dstPort, dstPort: p.srcPort, tag: p.initTag,
			chunk: sctpInitAck, initTag: p.initTag + 1,
		}
		// A client notices a lost answer; a server can't do more.
		_, _ = s.conn.WriteTo(answer.marshal(), from)
	}
}

// Close stops the server and waits for it to end. It returns an error if the
// server had stopped by itself. It may be called more than once.
func (s *SCTPServer) Close() error {
	s.once.Do(func() {
		err := s.conn.Close()
		s.wg.Wait()
		s.err = errors.Join(s.err, err)
	})
	return s.err
}

// SCTPLoad is SCTP INITs, made with a raw socket, to a server made with
// [ServeSCTP], each sent when the one before was answered. The associations are
// not carried further.
type SCTPLoad struct {
	Target     netip.AddrPort
	SourcePort uint16 // of the first INIT; each further one has the next
	Count      int    // how many, 1 if 0
}

// Run sends from ns and returns how many were answered with an INIT ACK.
// Without an answer it waits until ctx ends.
func (l SCTPLoad) Run(ctx context.Context, ns *Namespace) (int, error) {
	wildcard := netip.IPv4Unspecified()
	if l.Target.Addr().Is6() {
		wildcard = netip.IPv6Unspecified()
	}
	c, err := listenSCTP(ns, wildcard)
	if err != nil {
		return 0, fmt.Errorf("SCTP load: %w", err)
	}
	defer c.Close()
	defer interrupt(ctx, c)()
	for i := range max(l.Count, 1) {
		first := sctpPacket{
			srcPort: l.SourcePort + uint16(i), dstPort: l.Target.Port(),
			chunk: sctpInit, initTag: uint32(i + 1),
		}
		if err := l.once(c, first); err != nil {
			return i, fmt.Errorf("SCTP load to %s: %w", l.Target, err)
		}
	}
	return max(l.Count, 1), nil
}

func (l SCTPLoad) once(c net.PacketConn, first sctpPacket) error {
	if _, err := c.WriteTo(first.marshal(), &net.IPAddr{IP: l.Target.Addr().AsSlice()}); err != nil {
		return err
	}
	buf := make([]byte, 2048)
	for {
		n, _, err := c.ReadFrom(buf)
		if err != nil {
			return err
		}
		p, err := parseSCTP(buf[:n])
		if err == nil && p.chunk == sctpInitAck && p.tag == first.initTag && p.dstPort == first.srcPort {
			return nil
		}
	}
}
