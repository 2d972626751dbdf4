package lab

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// Ping is ICMP or ICMPv6 echo requests, each sent when the one before was
// answered.
type Ping struct {
	Target netip.Addr
	Count  int // how many, 1 if 0
	ID     uint16
	Bytes  int // payload of each
}

// Run sends from ns and returns how many were answered. Without an answer it
// waits until ctx ends.
func (p Ping) Run(ctx context.Context, ns *Namespace) (int, error) {
	c, err := p.open(ns)
	if err != nil {
		return 0, fmt.Errorf("ping: %w", err)
	}
	defer c.Close()
	defer interrupt(ctx, c)()
	for i := range max(p.Count, 1) {
		if err := p.once(c, i+1); err != nil {
			return i, fmt.Errorf("ping %s: %w", p.Target, err)
		}
	}
	return max(p.Count, 1), nil
}

func (p Ping) open(ns *Namespace) (c *icmp.PacketConn, err error) {
	err = ns.Do(func() error {
		network, address := "ip4:icmp", "0.0.0.0"
		if p.Target.Is6() {
			network, address = "ip6:ipv6-icmp", "::"
		}
		c, err = icmp.ListenPacket(network, address)
		return err
	})
	return c, err
}

// once sends one request and waits for its answer among all ICMP messages.
func (p Ping) once(c *icmp.PacketConn, seq int) error {
	echo := &icmp.Echo{ID: int(p.ID), Seq: seq, Data: payload(p.Bytes)}
	request := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: echo}
	if p.Target.Is6() {
		request.Type = ipv6.ICMPTypeEchoRequest
	}
	raw, err := request.Marshal(nil)
	if err != nil {
		return err
	}
	if _, err := c.WriteTo(raw, &net.IPAddr{IP: p.Target.AsSlice()}); err != nil {
		return err
	}
	buf := make([]byte, 65536)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return err
		}
		if a, ok := from.(*net.IPAddr); ok && a.IP.Equal(p.Target.AsSlice()) && p.answers(buf[:n], echo) {
			return nil
		}
	}
}

// answers tells whether message is the reply to echo.
func (p Ping) answers(message []byte, echo *icmp.Echo) bool {
	proto := unix.IPPROTO_ICMP
	if p.Target.Is6() {
		proto = unix.IPPROTO_ICMPV6
	}
	m, err := icmp.ParseMessage(proto, message)
	if err != nil || m.Type != ipv4.ICMPTypeEchoReply && m.Type != ipv6.ICMPTypeEchoReply {
		return false
	}
	body, ok := m.Body.(*icmp.Echo)
	return ok && body.ID == echo.ID && body.Seq == echo.Seq && bytes.Equal(body.Data, echo.Data)
}
