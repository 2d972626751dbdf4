package certs

import (
	"context"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc/credentials"

	"github.com/fovea-obs/fovea/hack/pki"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serverName is a name that servers' certificates are valid for.
const serverName = "node1.default.hubble-grpc.cilium.io"

// patience is how long anything may take.
const patience = 20 * time.Second

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newAuthority(t *testing.T) *pki.Authority {
	t.Helper()
	a, err := pki.NewAuthority("fovea-test")
	check(t, err)
	return a
}

func issue(t *testing.T, a *pki.Authority, r pki.Request) pki.Identity {
	t.Helper()
	id, err := a.Issue(r)
	check(t, err)
	return id
}

func forServer(t *testing.T, a *pki.Authority) pki.Identity {
	t.Helper()
	return issue(t, a, pki.Request{Names: []string{serverName}})
}

// volume is a directory whose files are changed as Kubernetes changes those of
// a Secret: ..data is a link to a directory, and another is renamed over it.
type volume struct {
	t   *testing.T
	dir string
}

func newVolume(t *testing.T, id pki.Identity, authorities ...*pki.Authority) volume {
	t.Helper()
	v := volume{t, t.TempDir()}
	v.set(id, authorities...)
	for _, name := range []string{"tls.crt", "tls.key", "ca.crt"} {
		check(t, os.Symlink(filepath.Join("..data", name), v.path(name)))
	}
	return v
}

func (v volume) path(name string) string { return filepath.Join(v.dir, name) }

func (v volume) set(id pki.Identity, authorities ...*pki.Authority) {
	v.t.Helper()
	var bundle []byte
	for _, a := range authorities {
		bundle = append(bundle, a.PEM...)
	}
	v.swap(map[string][]byte{"tls.crt": id.Cert, "tls.key": id.Key, "ca.crt": bundle})
}

func (v volume) swap(contents map[string][]byte) {
	v.t.Helper()
	next, err := os.MkdirTemp(v.dir, "..")
	check(v.t, err)
	for name, content := range contents {
		check(v.t, os.WriteFile(filepath.Join(next, name), content, 0o600))
	}
	old, _ := filepath.EvalSymlinks(v.path("..data")) // none at first
	check(v.t, os.Symlink(filepath.Base(next), v.path("..data_tmp")))
	check(v.t, os.Rename(v.path("..data_tmp"), v.path("..data")))
	if old != "" {
		check(v.t, os.RemoveAll(old))
	}
}

// config has the files of the volume.
func (v volume) config(logs chan string) Config {
	return Config{
		Certificate: File{"tls-cert-file", v.path("tls.crt")},
		Key:         File{"tls-key-file", v.path("tls.key")},
		Authorities: []File{{"tls-client-ca-files", v.path("ca.crt")}},
		Now:         time.Now,
		Log:         slog.New(slog.NewTextHandler(lines(logs), nil)),
	}
}

// lines is a writer of log lines.
type lines chan string

func (l lines) Write(b []byte) (int, error) {
	l <- string(b)
	return len(b), nil
}

// wait returns the next line that was logged, which must have the words.
func wait(t *testing.T, logs chan string, words ...string) {
	t.Helper()
	select {
	case line := <-logs:
		for _, w := range words {
			if !strings.Contains(line, w) {
				t.Fatalf("logged %s, want %q", line, words)
			}
		}
	case <-time.After(patience):
		t.Fatalf("nothing was logged, want %q", words)
	}
}

func load(t *testing.T, c Config) *Store {
	t.Helper()
	s, err := Load(c)
	check(t, err)
	return s
}

// watched is a store that is watched until the test ends, and its log.
func watched(t *testing.T, v volume) (*Store, chan string) {
	t.Helper()
	logs := make(chan string, 1000)
	s := load(t, v.config(logs))
	wait(t, logs, "Certificates read")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Watch(ctx) }()
	t.Cleanup(func() {
		cancel()
		check(t, <-done)
	})
	return s, logs
}

// echo answers each connection with what it says.
type echo struct {
	address string
	// handshakes has the server's view of each.
	handshakes chan handshake
}

type handshake struct {
	info credentials.AuthInfo
	err  error
}

// serve serves until the test ends.
func serve(t *testing.T, c credentials.TransportCredentials) *echo {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	check(t, err)
	e := &echo{l.Addr().String(), make(chan handshake, 100)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			_ = raw.SetDeadline(time.Now().Add(patience)) // it is open
			conn, info, err := c.ServerHandshake(raw)
			e.handshakes <- handshake{info, err}
			if err != nil {
				raw.Close()
				continue
			}
			t.Cleanup(func() { conn.Close() })
			go func() { _, _ = io.Copy(conn, conn) }()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return e
}

// dial connects, and returns how the client sees it.
func (e *echo) dial(t *testing.T, c credentials.TransportCredentials) (net.Conn, credentials.AuthInfo, error) {
	t.Helper()
	raw, err := new(net.Dialer).DialContext(t.Context(), "tcp", e.address)
	check(t, err)
	check(t, raw.SetDeadline(time.Now().Add(patience)))
	t.Cleanup(func() { raw.Close() })
	conn, info, err := c.ClientHandshake(t.Context(), serverName, raw)
	if err != nil {
		return nil, nil, err
	}
	t.Cleanup(func() { conn.Close() })
	// What a server of TLS 1.3 refuses its client learns when it reads.
	return conn, info, ask(conn)
}

// ask fails if the connection does not answer.
func ask(conn net.Conn) error {
	const question = "long enough to be taken for a record of TLS"
	if _, err := io.WriteString(conn, question); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, make([]byte, len(question)))
	return err
}

// shown is the certificate that the other side has shown.
func shown(t *testing.T, info credentials.AuthInfo) *x509.Certificate {
	t.Helper()
	i, ok := info.(credentials.TLSInfo)
	if !ok || len(i.State.PeerCertificates) == 0 {
		t.Fatalf("no certificate was shown: %T", info)
	}
	return i.State.PeerCertificates[0]
}
