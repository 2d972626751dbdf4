package lab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
)

// Addr is the pod's IPv6 address or its IPv4 address.
func (p *Pod) Addr(ipv6 bool) netip.Addr {
	if ipv6 {
		return p.IPv6
	}
	return p.IPv4
}

// ListenTCP listens on the port, or on any if 0, for IPv4 and IPv6. The caller
// must close the listener.
func (p *Pod) ListenTCP(port uint16) (net.Listener, error) {
	return p.NS.Listen(context.Background(), "tcp", fmt.Sprintf(":%d", port))
}

// DialTCP connects from the pod to dst. The caller must close the connection.
func (p *Pod) DialTCP(ctx context.Context, dst netip.AddrPort) (net.Conn, error) {
	return p.NS.Dial(ctx, "tcp", dst.String())
}

// ListenUDP makes a UDP socket on the port, or on any if 0, for IPv4 and IPv6.
// The caller must close it.
func (p *Pod) ListenUDP(port uint16) (net.PacketConn, error) {
	return p.NS.ListenPacket(context.Background(), "udp", fmt.Sprintf(":%d", port))
}

// DialUDP makes a UDP socket that sends to dst. The caller must close it.
func (p *Pod) DialUDP(ctx context.Context, dst netip.AddrPort) (net.Conn, error) {
	return p.NS.Dial(ctx, "udp", dst.String())
}
