package rpc

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/fovea-obs/fovea/hack/pki"
	"github.com/fovea-obs/fovea/internal/certs"
)

// tlsName is that of the server.
const tlsName = "node1.default.hubble-grpc.cilium.io"

// store has a certificate of the authority.
func store(t *testing.T, a *pki.Authority) *certs.Store {
	t.Helper()
	id, err := a.Issue(pki.Request{Names: []string{tlsName}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := func(name string, content []byte) certs.File {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return certs.File{Option: name, Path: path}
	}
	s, err := certs.Load(certs.Config{
		Certificate: file("cert", id.Cert), Key: file("key", id.Key), Authorities: []certs.File{file("ca", a.PEM)},
		Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// without is a client that has no certificate.
func without(t *testing.T, trusts *pki.Authority) credentials.TransportCredentials {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(trusts.PEM)
	return credentials.NewTLS(&tls.Config{RootCAs: roots, ServerName: tlsName, MinVersion: tls.VersionTLS13})
}

// logged is a writer of log lines.
type logged chan string

func (l logged) Write(b []byte) (int, error) {
	l <- string(b)
	return len(b), nil
}

// TestTLS serves TCP with TLS and the unix socket without, to the right clients.
func TestTLS(t *testing.T) {
	authority, err := pki.NewAuthority("fovea-test")
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := pki.NewAuthority("fovea-test")
	if err != nil {
		t.Fatal(err)
	}
	plain, secure := insecure.NewCredentials(), store(t, authority).Client(tlsName)
	const unix, tcp = 0, 1
	for name, tt := range map[string]struct {
		listener int
		client   credentials.TransportCredentials
		// log and says are what each side tells if the client is refused.
		log, says string
	}{
		"TCP":              {tcp, secure, "", ""},
		"unix socket":      {unix, plain, "", ""},
		"TCP in plaintext": {tcp, plain, "does not look like a TLS handshake", "error reading server preface: EOF"},
		"TCP without a certificate": {tcp, without(t, authority), "client didn't provide a certificate",
			"remote error: tls: certificate required"},
		"TCP with an unknown authority":     {tcp, store(t, stranger).Client(tlsName), "bad certificate", "unknown authority"},
		"TCP with a certificate of another": {tcp, store(t, authority).Client("node2"), "bad certificate", "not node2"},
	} {
		t.Run(name, func(t *testing.T) {
			log := make(logged, 100)
			conns, stop := serve(t, Config{
				TLS: store(t, authority).Server(), Log: slog.New(slog.NewTextHandler(log, nil)),
			}, &peers{})
			target := conns[tt.listener].Target()
			conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(tt.client))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_, err = grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
			if (err != nil) != (tt.says != "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %q", err, tt.says)
			}
			if tt.log != "" {
				if line := <-log; !strings.Contains(line, tt.log) || !strings.Contains(line, "client=127.0.0.1:") {
					t.Errorf("logged %s, want %q", line, tt.log)
				}
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestProbe looks whether the port is open, which is nothing to complain of.
func TestProbe(t *testing.T) {
	authority, err := pki.NewAuthority("fovea-test")
	if err != nil {
		t.Fatal(err)
	}
	log := make(logged, 100)
	conns, stop := serve(t, Config{
		TLS: store(t, authority).Server(), Log: slog.New(slog.NewTextHandler(log, nil)),
	}, &peers{})
	probe, err := net.Dial("tcp", conns[1].Target())
	if err != nil {
		t.Fatal(err)
	}
	if err := probe.Close(); err != nil {
		t.Fatal(err)
	}
	// It returns when handshakes have ended.
	if err := stop(); err != nil {
		t.Error(err)
	}
	if len(log) > 0 {
		t.Errorf("logged %s", <-log)
	}
}
