package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fovea-obs/fovea/hack/lab"
	"github.com/fovea-obs/fovea/hack/lab/capture"
)

// conversation is one that both sides take part in for as long as a test wants.
type conversation struct {
	client, server net.Conn
}

// dial says what conversation to begin.
type dial struct {
	proto uint8
	from  *lab.Namespace
	// port is the client's, any if 0.
	port uint16
	to   netip.AddrPort
	// pod and podPort are where the server is, behind to.
	pod     *lab.Pod
	podPort uint16
}

// rendezvous are the sockets that conversations begin at.
type rendezvous struct {
	*network
	listeners map[server]net.Listener
	sockets   map[server]net.PacketConn
}

func (n *network) newRendezvous() *rendezvous {
	return &rendezvous{n, map[server]net.Listener{}, map[server]net.PacketConn{}}
}

// begin starts a conversation: the client talks first, and is answered.
func (r *rendezvous) begin(t *testing.T, d dial) *conversation {
	t.Helper()
	ctx := testContext(t)
	r.podServes(d.pod, d.proto, d.podPort)
	r.serves(d.proto, d.to)
	var c *conversation
	var err error
	if d.proto == capture.TCP {
		c, err = r.beginTCP(ctx, t, d)
	} else {
		c, err = r.beginUDP(ctx, t, d)
	}
	if err == nil {
		err = c.exchange(100)
	}
	if err != nil {
		t.Fatalf("begin %+v: %v", d, err)
	}
	return c
}

// connect makes the client's socket.
func (d dial) connect(ctx context.Context) (c net.Conn, err error) {
	network, local := "tcp", net.Addr(&net.TCPAddr{Port: int(d.port)})
	if d.proto == capture.UDP {
		network, local = "udp", &net.UDPAddr{Port: int(d.port)}
	}
	dialer := net.Dialer{KeepAlive: -1}
	if d.port != 0 {
		dialer.LocalAddr = local
	}
	err = d.from.Do(func() error {
		c, err = dialer.DialContext(ctx, network, d.to.String())
		return err
	})
	return c, err
}

func (r *rendezvous) beginTCP(ctx context.Context, t *testing.T, d dial) (*conversation, error) {
	at := server{d.proto, netip.AddrPortFrom(d.pod.IPv4, d.podPort)}
	if r.listeners[at] == nil {
		l, err := d.pod.ListenTCP(d.podPort)
		if err != nil {
			return nil, err
		}
		closeLater(t, l.Close)
		r.listeners[at] = l
	}
	client, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	server, err := r.listeners[at].Accept()
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	c := &conversation{client, server}
	t.Cleanup(func() { c.close() }) // a test may have closed it
	return c, nil
}

func (r *rendezvous) beginUDP(ctx context.Context, t *testing.T, d dial) (*conversation, error) {
	at := server{d.proto, netip.AddrPortFrom(d.pod.IPv4, d.podPort)}
	if r.sockets[at] == nil {
		s, err := d.pod.ListenUDP(d.podPort)
		if err != nil {
			return nil, err
		}
		closeLater(t, s.Close)
		r.sockets[at] = s
	}
	client, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	closeLater(t, client.Close)
	if _, err := client.Write([]byte("hello")); err != nil {
		return nil, err
	}
	_, peer, err := r.sockets[at].ReadFrom(make([]byte, 16))
	if err != nil {
		return nil, err
	}
	return &conversation{client, answerer{r.sockets[at].(*net.UDPConn), peer}}, nil
}

// answerer is a server's socket for one of its clients.
type answerer struct {
	*net.UDPConn
	peer net.Addr
}

func (a answerer) Write(b []byte) (int, error) { return a.WriteTo(b, a.peer) }

func (a answerer) RemoteAddr() net.Addr { return a.peer }

// exchange has the client send so many bytes, and the server answer.
func (c *conversation) exchange(bytes int) error {
	return errors.Join(pass(c.client, c.server, bytes), pass(c.server, c.client, bytes))
}

// callBack has the server send so many bytes, and the client answer.
func (c *conversation) callBack(bytes int) error {
	return errors.Join(pass(c.server, c.client, bytes), pass(c.client, c.server, bytes))
}

// pass sends bytes and waits until they have arrived.
func pass(from, to net.Conn, bytes int) error {
	deadline := time.Now().Add(5 * time.Second)
	if err := errors.Join(from.SetDeadline(deadline), to.SetDeadline(deadline)); err != nil {
		return err
	}
	if _, err := from.Write(make([]byte, bytes)); err != nil {
		return err
	}
	_, err := io.ReadFull(to, make([]byte, bytes))
	return err
}

// settle waits until all that was sent is acknowledged: then the kernel has
// nothing more to say by itself.
func (c *conversation) settle() error {
	for _, side := range []net.Conn{c.client, c.server} {
		tcp, ok := side.(*net.TCPConn)
		if !ok {
			return nil
		}
		if err := awaitAcknowledged(tcp); err != nil {
			return err
		}
	}
	return nil
}

func awaitAcknowledged(c *net.TCPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		var info *unix.TCPInfo
		var infoErr error
		err := raw.Control(func(fd uintptr) {
			info, infoErr = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		})
		if err := errors.Join(err, infoErr); err != nil {
			return err
		}
		if info.Unacked == 0 && info.Notsent_bytes == 0 {
			return nil
		}
		time.Sleep(time.Millisecond) // nothing tells of it
	}
	return fmt.Errorf("%s: not all was acknowledged", c.LocalAddr())
}

// close ends a TCP conversation from the client's side.
func (c *conversation) close() error { return closeFrom(c.client, c.server) }

// closeByServer ends a TCP conversation from the server's side.
func (c *conversation) closeByServer() error { return closeFrom(c.server, c.client) }

// closeFrom closes one side, and the other once it has noticed.
func closeFrom(first, second net.Conn) error {
	if _, ok := first.(*net.TCPConn); !ok {
		return nil
	}
	err := first.Close()
	if n, readErr := second.Read(make([]byte, 1)); err == nil && (n != 0 || !errors.Is(readErr, io.EOF)) {
		err = fmt.Errorf("no end: %d bytes, %w", n, readErr)
	}
	return errors.Join(err, second.Close())
}

// reset breaks a TCP conversation off from the client's side.
func (c *conversation) reset() error {
	tcp, ok := c.client.(*net.TCPConn)
	if !ok {
		return nil
	}
	if err := errors.Join(tcp.SetLinger(0), tcp.Close()); err != nil {
		return err
	}
	if _, err := c.server.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
		return fmt.Errorf("no reset: %w", err)
	}
	return c.server.Close()
}
