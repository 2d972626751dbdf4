package lab

import (
	"context"
	"fmt"
	"net"
)

// Listen is [net.ListenConfig.Listen] in the namespace, without Multipath TCP.
func (n *Namespace) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	var l net.Listener
	err := n.Do(func() (err error) {
		l, err = lc.Listen(ctx, network, address)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listen in network namespace: %w", err)
	}
	return l, nil
}

// ListenPacket is [net.ListenConfig.ListenPacket] in the namespace.
func (n *Namespace) ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error) {
	var lc net.ListenConfig
	var c net.PacketConn
	err := n.Do(func() (err error) {
		c, err = lc.ListenPacket(ctx, network, address)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listen in network namespace: %w", err)
	}
	return c, nil
}

// Dial is [net.Dialer.DialContext] in the namespace. The address must be
// numeric: a name would be looked up outside the namespace. The calling
// goroutine keeps its OS thread until the connection is made.
func (n *Namespace) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	var c net.Conn
	err := n.Do(func() (err error) {
		c, err = d.DialContext(ctx, network, address)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("dial in network namespace: %w", err)
	}
	return c, nil
}
