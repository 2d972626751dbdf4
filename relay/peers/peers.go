package peers

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"

	"github.com/fovea-obs/fovea/internal/rpc"
)

// Node is a node's agent.
type Node struct {
	// Name is cluster/node, or node in the cluster default.
	Name string
	// Address is host:port, or unix:///path.
	Address string
	// ServerName is what its certificate is for; empty without TLS.
	ServerName string
}

const (
	// dialTimeout is how long a connection takes at most until it is there, retryMost
	// how long it is waited at most before it is tried again.
	dialTimeout = 5 * time.Second
	retryMost   = 30 * time.Second
	// goneAfter is how long sent data goes unacknowledged before the connection is
	// taken for dead. Servers of Hubble's close connections on which gRPC's own pings
	// come so often.
	goneAfter = 10 * time.Second
)

// Peer is a node with a connection, whose codec is a [rpc.RawCodec].
type Peer struct {
	Node
	Conn *grpc.ClientConn
}

// Connected tells whether the connection is there at present.
func (p *Peer) Connected() bool { return p.Conn.GetState() == connectivity.Ready }

// Credentials are what a relay connects with to the server of a name; plaintext if it
// is nil.
type Credentials func(serverName string) credentials.TransportCredentials

// Peers are the nodes at present. Its methods are safe for concurrent use.
type Peers struct {
	credentials Credentials
	// codec is that of all connections.
	codec encoding.CodecV2

	mu      sync.Mutex
	byName  map[string]*Peer
	changed chan struct{}
	closed  bool
}

// New returns no peers, to which it will connect with c.
func New(c Credentials) *Peers {
	return &Peers{credentials: c, codec: rpc.RawCodec(), byName: map[string]*Peer{}, changed: make(chan struct{})}
}

// Set says which nodes there are, in place of all said before. It fails for those
// whose address is not one, and takes the others.
func (p *Peers) Set(nodes []Node) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	next := map[string]*Peer{}
	var failed error
	changed := false
	for _, n := range nodes {
		old := p.byName[n.Name]
		if old != nil && old.Node == n {
			next[n.Name] = old
			continue
		}
		conn, err := dial(n, p.credentials, p.codec)
		if err != nil {
			failed = fmt.Errorf("node %q at %q: %w", n.Name, n.Address, err)
			continue
		}
		next[n.Name] = &Peer{n, conn}
		changed = true
	}
	for name, old := range p.byName {
		if next[name] != old {
			old.Conn.Close()
			changed = true
		}
	}
	p.byName = next
	if changed {
		close(p.changed)
		p.changed = make(chan struct{})
	}
	return failed
}

// All returns the peers by their names, and a channel that is closed when that is no
// longer so.
func (p *Peers) All() (list []*Peer, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.SortedFunc(maps.Values(p.byName), func(a, b *Peer) int { return strings.Compare(a.Name, b.Name) }), p.changed
}

// Close closes all connections. There are no peers from then on.
func (p *Peers) Close() {
	_ = p.Set(nil)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
}

// dial connects with a codec, and with TLS but to unix sockets, as agents serve these without.
func dial(n Node, c Credentials, codec encoding.CodecV2) (*grpc.ClientConn, error) {
	transport, target := insecure.NewCredentials(), n.Address
	if !strings.HasPrefix(target, "unix:") {
		host, _, err := net.SplitHostPort(target)
		if err != nil {
			return nil, err
		}
		target = "passthrough:///" + target
		if c != nil {
			transport = c(cmp.Or(n.ServerName, host))
		}
	}
	conn, err := grpc.NewClient(target,
		grpc.WithTransportCredentials(transport),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: time.Second, Multiplier: 1.6, Jitter: 0.2, MaxDelay: retryMost},
			MinConnectTimeout: dialTimeout,
		}),
		grpc.WithContextDialer(dialTCP),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(codec)),
		grpc.WithReadBufferSize(readBuffer),
		grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(2*window),
	)
	if err != nil {
		return nil, err
	}
	conn.Connect()
	return conn, nil
}

const (
	readBuffer = 64 << 10
	// window is what a peer may send of a stream before it is taken.
	window = 256 << 10
)

// dialTCP dials so that a peer that is gone without a word is noticed.
func dialTCP(ctx context.Context, address string) (net.Conn, error) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return new(net.Dialer).DialContext(ctx, "unix", strings.TrimPrefix(path, "//"))
	}
	d := net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: goneAfter / 2, Interval: goneAfter / 4, Count: 2},
	}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if raw, err := conn.(*net.TCPConn).SyscallConn(); err == nil {
		// Without it the connection is noticed all the same, later.
		_ = raw.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(goneAfter.Milliseconds()))
		})
	}
	return conn, nil
}
