// Package pki makes authorities and certificates, for tests and clusters that do
// not last.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"time"
)

// before and after now is when certificates are valid, unless asked otherwise:
// clocks may be set.
const before, after = time.Hour, 24 * time.Hour

// Authority signs certificates.
type Authority struct {
	// PEM is its own certificate.
	PEM []byte

	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

// Identity is a certificate and its key, in PEM.
type Identity struct{ Cert, Key []byte }

// Request is what a certificate is to say.
type Request struct {
	Subject pkix.Name
	// Addresses and Names are those of a server.
	Addresses []netip.Addr
	Names     []string
	// Usages are what it is for; for clients and servers if there are none.
	Usages []x509.ExtKeyUsage
	// From and Until are when it is valid: by default from an hour ago, for a
	// day.
	From, Until time.Time
}

// NewAuthority returns one of this name.
func NewAuthority(name string) (*Authority, error) {
	t := template(Request{Subject: pkix.Name{CommonName: name}})
	t.IsCA, t.BasicConstraintsValid = true, true
	t.KeyUsage = x509.KeyUsageCertSign
	key, err := NewKey()
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the authority's certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read the authority's certificate: %w", err)
	}
	return &Authority{key: key, cert: cert, PEM: encode("CERTIFICATE", der)}, nil
}

// Issue makes an identity.
func (a *Authority) Issue(r Request) (Identity, error) {
	t := template(r)
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = r.Usages
	if len(r.Usages) == 0 {
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	}
	t.DNSNames = r.Names
	for _, ip := range r.Addresses {
		t.IPAddresses = append(t.IPAddresses, net.IP(ip.AsSlice()))
	}
	key, err := NewKey()
	if err != nil {
		return Identity{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, key.Public(), a.key)
	if err != nil {
		return Identity{}, fmt.Errorf("make the certificate of %s: %w", r.Subject.CommonName, err)
	}
	text, err := EncodeKey(key)
	return Identity{Cert: encode("CERTIFICATE", der), Key: text}, err
}

func template(r Request) *x509.Certificate {
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: r.Subject, NotBefore: r.From, NotAfter: r.Until,
	}
	if r.From.IsZero() {
		t.NotBefore = now.Add(-before)
	}
	if r.Until.IsZero() {
		t.NotAfter = now.Add(after)
	}
	return t
}

// NewKey returns a new private key.
func NewKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	return key, nil
}

// EncodeKey returns a private key in PEM.
func EncodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode a key: %w", err)
	}
	return encode("EC PRIVATE KEY", der), nil
}

// EncodePublic returns a public key in PEM.
func EncodePublic(key crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode a public key: %w", err)
	}
	return encode("PUBLIC KEY", der), nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
