package e2e

import (
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	peerpb "github.com/cilium/cilium/api/v1/peer"
	"google.golang.org/grpc"

	"github.com/fovea-obs/fovea/hack/lab"
	"github.com/fovea-obs/fovea/hack/pki"
)

// roster is a Peer service that tells what a test says.
type roster struct {
	peerpb.UnimplementedPeerServer
	address string

	mu sync.Mutex
	// said is all that was said so far.
	said    []*peerpb.ChangeNotification
	changed chan struct{}
}

// newRoster serves one on a unix socket, until the test ends.
func newRoster(t *testing.T) *roster {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "peers.sock")
	r := &roster{address: "unix://" + socket, changed: make(chan struct{})}
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	check(t, err)
	serveUntilEnd(t, l, func(s *grpc.Server) { peerpb.RegisterPeerServer(s, r) })
	return r
}

// serveUntilEnd serves gRPC until the test ends.
func serveUntilEnd(t *testing.T, l net.Listener, register func(*grpc.Server)) {
	t.Helper()
	s, done := grpc.NewServer(), make(chan error, 1)
	register(s)
	go func() { done <- s.Serve(l) }()
	closeLater(t, func() error {
		s.Stop()
		return <-done
	})
}

// Notify implements [peerpb.PeerServer].
func (r *roster) Notify(_ *peerpb.NotifyRequest, stream grpc.ServerStreamingServer[peerpb.ChangeNotification]) error {
	for next := 0; ; {
		r.mu.Lock()
		more, changed := r.said[next:], r.changed
		r.mu.Unlock()
		for _, c := range more {
			if err := stream.Send(c); err != nil {
				return err
			}
			next++
		}
		select {
		case <-changed:
		case <-stream.Context().Done():
			return nil
		}
	}
}

func (r *roster) say(c *peerpb.ChangeNotification) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = append(r.said, c)
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *roster) join(name, address, serverName string) {
	r.say(&peerpb.ChangeNotification{
		Name: name, Address: address, Type: peerpb.ChangeNotificationType_PEER_ADDED, Tls: &peerpb.TLS{ServerName: serverName},
	})
}

func (r *roster) leave(name string) {
	r.say(&peerpb.ChangeNotification{Name: name, Type: peerpb.ChangeNotificationType_PEER_DELETED})
}

// identityFiles are the files of a certificate, its key, and the authority of others'.
type identityFiles struct{ cert, key, authority string }

func newIdentityFiles(t *testing.T, a *pki.Authority) identityFiles {
	t.Helper()
	dir := t.TempDir()
	f := identityFiles{filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"), filepath.Join(dir, "ca.crt")}
	check(t, os.WriteFile(f.authority, a.PEM, 0o600))
	return f
}

// replace puts another certificate into the files.
func (f identityFiles) replace(t *testing.T, a *pki.Authority, r pki.Request) {
	t.Helper()
	id, err := a.Issue(r)
	check(t, err)
	replaceFile(t, f.cert, string(id.Cert))
	replaceFile(t, f.key, string(id.Key))
}

// connections takes all connections to an address until the test ends, and returns how
// to find out how many there were.
func connections(t *testing.T, ns *lab.Namespace, address string) (number func() int64) {
	t.Helper()
	var n atomic.Int64
	l, err := ns.Listen(t.Context(), "tcp", address)
	check(t, err)
	acceptUntilEnd(t, l, func(conn net.Conn) {
		n.Add(1)
		conn.Close()
	})
	return n.Load
}

// acceptUntilEnd has all connections taken until the test ends, which closes them.
func acceptUntilEnd(t *testing.T, l net.Listener, take func(net.Conn)) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			take(conn)
		}
	}()
	closeLater(t, func() error {
		err := l.Close()
		<-done
		return err
	})
}
