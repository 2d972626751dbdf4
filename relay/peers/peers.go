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
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/metadata"

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
	// atOnce is how many connections are made at a time.
	atOnce = 512
	// dialTimeout is how long a connection takes at most until it is there.
	dialTimeout = 5 * time.Second
	// goneAfter is how long sent data goes unacknowledged before the connection is
	// taken for dead. Servers of Hubble's close connections on which gRPC's own pings
	// come so often.
	goneAfter = 10 * time.Second
)

// Peer is a node with a connection. Its methods are safe for concurrent use.
type Peer struct {
	Node
	Conn *grpc.ClientConn
	// Codec is what responses are received with as they come: see rpc.Raw.
	Codec encoding.CodecV2
	// agent is set once it is known to be one, named once it has told its own name.
	agent, named atomic.Bool
}

// Heard takes the header that a server sends before all that it tells.
func (p *Peer) Heard(header metadata.MD) {
	p.agent.Store(len(header.Get(rpc.ServerVersion)) > 0 && len(header.Get(rpc.RelayVersion)) == 0)
}

// Told takes the name of the node of something that the server told.
func (p *Peer) Told(node string) { p.named.Store(node == p.Name) }

// IsAlone tells whether the server is known to be an agent, which tells of its own node
// only, and to call that as it is called here. A relay tells of others.
func (p *Peer) IsAlone() bool { return p.agent.Load() && p.named.Load() }

// Connected tells whether the connection is there at present.
func (p *Peer) Connected() bool { return p.Conn.GetState() == connectivity.Ready }

// Credentials are what a relay connects with to the server of a name; plaintext if it
// is nil.
type Credentials func(serverName string) credentials.TransportCredentials

// Peers are the nodes at present. Its methods are safe for concurrent use.
type Peers struct {
	// dialing has one for each connection that is being made.
	dialing     chan struct{}
	credentials Credentials
	retry       time.Duration
	codec       *rpc.RawCodec

	running sync.WaitGroup

	mu      sync.Mutex
	byName  map[string]*Peer
	changed chan struct{}
	closed  bool
}

// New returns no peers, to which it will connect with c. A connection that fails is tried
// again after a second, then ever later, but after retry at most, and a fifth of that by
// chance.
func New(c Credentials, retry time.Duration) *Peers {
	return &Peers{dialing: make(chan struct{}, atOnce), credentials: c, retry: retry, codec: rpc.NewRawCodec(), byName: map[string]*Peer{}, changed: make(chan struct{})}
}

// MaxPeers is how many nodes are asked at most.
const MaxPeers = 5000

// Set says which nodes there are, in place of all said before. It fails for those
// whose address is not one, and for those that are more than MaxPeers, and takes the
// others.
func (p *Peers) Set(nodes []Node) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	next := map[string]*Peer{}
	nodes, failed := bounded(nodes)
	changed := false
	for _, n := range nodes {
		old := p.byName[n.Name]
		if old != nil && old.Node == n {
			next[n.Name] = old
			continue
		}
		conn, err := p.dial(n)
		if err != nil {
			failed = fmt.Errorf("node %q at %q: %w", n.Name, n.Address, err)
			continue
		}
		next[n.Name] = &Peer{Node: n, Conn: conn, Codec: p.codec}
		p.running.Go(func() { keep(conn) })
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

// bounded returns the nodes, or the first MaxPeers of them by name, and an error then.
func bounded(nodes []Node) ([]Node, error) {
	if len(nodes) <= MaxPeers {
		return nodes, nil
	}
	sorted := slices.SortedFunc(slices.Values(nodes), func(a, b Node) int { return strings.Compare(a.Name, b.Name) })
	return sorted[:MaxPeers], fmt.Errorf("%d nodes, of which %d are asked at most", len(nodes), MaxPeers)
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
	p.closed = true
	p.mu.Unlock()
	p.running.Wait()
}

// keep has a connection made again when it is lost, until it is closed: by itself gRPC does
// that once somebody calls.
func keep(conn *grpc.ClientConn) {
	for state := conn.GetState(); state != connectivity.Shutdown; state = conn.GetState() {
		if state == connectivity.Idle {
			conn.Connect()
		}
		conn.WaitForStateChange(context.Background(), state)
	}
}

// dial connects with TLS but to unix sockets, as agents serve these without.
func (p *Peers) dial(n Node) (*grpc.ClientConn, error) {
	transport, target := insecure.NewCredentials(), n.Address
	if !strings.HasPrefix(target, "unix:") {
		host, _, err := net.SplitHostPort(target)
		if err != nil {
			return nil, err
		}
		target = "passthrough:///" + target
		if p.credentials != nil {
			transport = p.credentials(cmp.Or(n.ServerName, host))
		}
	}
	conn, err := grpc.NewClient(target,
		grpc.WithTransportCredentials(transport),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: time.Second, Multiplier: 1.6, Jitter: 0.2, MaxDelay: p.retry},
			MinConnectTimeout: dialTimeout,
		}),
		grpc.WithContextDialer(p.connect),
		grpc.WithIdleTimeout(0),
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

// connect waits for its turn, as a relay that starts has all of them to dial.
func (p *Peers) connect(ctx context.Context, address string) (net.Conn, error) {
	select {
	case p.dialing <- struct{}{}:
		defer func() { <-p.dialing }()
		return dialTCP(ctx, address)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

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
	noticeGone(conn)
	return conn, nil
}
