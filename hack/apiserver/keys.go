package apiserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
)

// Passwords of the user that may do all, and of one that may do what it is given.
const (
	token        = "of-a-test"
	limitedToken = "of-a-limited-test"
)

// LimitedUser is the name of the user that may do what it is given.
const LimitedUser = "limited"

// writeKeys writes what kube-apiserver needs to start.
func (s *Server) writeKeys() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		s.write("account.key", pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})),
		s.write("tokens", fmt.Appendf(nil, "%s,test,test,system:masters\n%s,%s,limited\n", token, limitedToken, LimitedUser)))
}

// client trusts the certificate that the API server made for itself.
func (s *Server) client() (*http.Client, error) {
	certificate, err := os.ReadFile(s.path("certs/apiserver.crt"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(certificate) {
		return nil, errors.New("not a certificate yet")
	}
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
	}}, nil
}

func (s *Server) writeKubeconfigs() error {
	return errors.Join(s.writeKubeconfig(s.Kubeconfig, token), s.writeKubeconfig(s.Limited, limitedToken))
}

func (s *Server) writeKubeconfig(path, token string) error {
	certificate, err := os.ReadFile(s.path("certs/apiserver.crt"))
	if err != nil {
		return fmt.Errorf("read the API server's certificate: %w", err)
	}
	return os.WriteFile(path, fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: test
  cluster: {server: %q, certificate-authority-data: %s}
users:
- name: test
  user: {token: %s}
contexts:
- name: test
  context: {cluster: test, user: test}
current-context: test
`, loopback("https", s.port), base64.StdEncoding.EncodeToString(certificate), token), 0o600)
}
