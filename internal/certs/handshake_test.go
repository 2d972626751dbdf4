package certs

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/fovea-obs/fovea/hack/pki"
)

// TestHandshake has clients of all kinds at a server that wants certificates.
func TestHandshake(t *testing.T) {
	authority, stranger := newAuthority(t), newAuthority(t)
	server := serve(t, load(t, newVolume(t, forServer(t, authority), authority).config(make(chan string, 100))).Server())
	client := func(id pki.Identity, trusts *pki.Authority, change func(*Config)) *Store {
		c := newVolume(t, id, trusts).config(make(chan string, 100))
		if change != nil {
			change(&c)
		}
		return load(t, c)
	}
	good := issue(t, authority, pki.Request{})
	old := func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }
	now := time.Now()
	for name, tt := range map[string]struct {
		client credentials.TransportCredentials
		// server and other are what each side says, nothing if it is content.
		server, other string
	}{
		"good": {client(good, authority, nil).Client(serverName), "", ""},
		"no certificate": {client(good, authority, func(c *Config) { c.Certificate, c.Key = File{}, File{} }).Client(serverName),
			"client didn't provide a certificate", "certificate required"},
		"of another authority": {withCertificate(t, authority, issue(t, stranger, pki.Request{}), nil),
			"unknown authority", "unknown certificate authority"},
		"expired": {withCertificate(t, authority, issue(t, authority, pki.Request{From: now.Add(-2 * time.Hour), Until: now.Add(-time.Hour)}), nil),
			"expired", "expired certificate"},
		"not valid yet": {withCertificate(t, authority, issue(t, authority, pki.Request{From: now.Add(time.Hour)}), nil),
			"not yet valid", "expired certificate"},
		"a server's": {withCertificate(t, authority, issue(t, authority, pki.Request{Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}), nil),
			"incompatible key usage", "bad certificate"},
		"TLS 1.2": {withCertificate(t, authority, good, old),
			"unsupported versions", "protocol version not supported"},
		"plaintext":    {insecure.NewCredentials(), "does not look like a TLS handshake", "EOF"},
		"another name": {client(good, authority, nil).Client("node2.default.hubble-grpc.cilium.io"), "bad certificate", "not node2.default"},
		"a server of another authority": {client(good, stranger, nil).Client(serverName),
			"bad certificate", "unknown authority"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, other := server.dial(t, tt.client)
			says(t, "server", (<-server.handshakes).err, tt.server)
			// A connection that is closed before all was read may end with a reset
			// in the place of the reason.
			if other == nil || !strings.Contains(other.Error(), "reset by peer") && !strings.Contains(other.Error(), "broken pipe") || tt.other == "" {
				says(t, "client", other, tt.other)
			}
		})
	}
}

func says(t *testing.T, who string, err error, want string) {
	t.Helper()
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("%s: got %v, want %q", who, err, want)
	}
}

// withCertificate is a client of another make, which shows its certificate
// whatever the server wants.
func withCertificate(t *testing.T, trusts *pki.Authority, id pki.Identity, change func(*tls.Config)) credentials.TransportCredentials {
	t.Helper()
	pair, err := tls.X509KeyPair(id.Cert, id.Key)
	check(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(trusts.PEM)
	c := &tls.Config{
		RootCAs: roots, MinVersion: tls.VersionTLS12,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil },
	}
	if change != nil {
		change(c)
	}
	return credentials.NewTLS(c)
}

// TestNoAuthorities serves clients without certificates, by TLS all the same.
func TestNoAuthorities(t *testing.T) {
	authority := newAuthority(t)
	v := newVolume(t, forServer(t, authority), authority)
	c := v.config(make(chan string, 100))
	c.Authorities = nil
	server := serve(t, load(t, c).Server())
	c = v.config(make(chan string, 100))
	c.Certificate, c.Key = File{}, File{}
	_, info, err := server.dial(t, load(t, c).Client(serverName))
	check(t, err)
	if i := info.(credentials.TLSInfo); i.State.Version != tls.VersionTLS13 || i.State.NegotiatedProtocol != "h2" {
		t.Errorf("version %x, protocol %q", i.State.Version, i.State.NegotiatedProtocol)
	}
	if _, _, err := server.dial(t, insecure.NewCredentials()); err == nil {
		t.Error("served in plaintext")
	}
}

// TestNoTicket has a client that would come again without a handshake of its own.
func TestNoTicket(t *testing.T) {
	authority := newAuthority(t)
	server := serve(t, load(t, newVolume(t, forServer(t, authority), authority).config(make(chan string, 100))).Server())
	client := withCertificate(t, authority, issue(t, authority, pki.Request{}), func(c *tls.Config) {
		c.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	})
	for range 2 {
		_, info, err := server.dial(t, client)
		check(t, err)
		if info.(credentials.TLSInfo).State.DidResume {
			t.Error("a session was taken up again")
		}
	}
}
