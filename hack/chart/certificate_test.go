package chart

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fovea-obs/fovea/internal/nodename"
)

const (
	namesAnnotation   = "fovea-obs.github.io/names"
	expiresAnnotation = "fovea-obs.github.io/expires"
)

// secret are the parts of a Secret with a certificate.
type secret struct {
	cert, ca *x509.Certificate
	pair     tls.Certificate
}

// readSecret reads one that the chart made. It fails the test unless its key is that of
// the certificate and its authority has signed it.
func readSecret(t *testing.T, name string, data map[string]any) secret {
	t.Helper()
	text := func(key string) []byte {
		encoded, _ := data[key].(string)
		raw, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil || len(raw) == 0 {
			t.Fatalf("%s: %s is %q: %v", name, key, encoded, err)
		}
		return raw
	}
	var s secret
	var err error
	if s.pair, err = tls.X509KeyPair(text("tls.crt"), text("tls.key")); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	s.cert = s.pair.Leaf
	block, rest := pem.Decode(text("ca.crt"))
	if block == nil || len(rest) > 0 {
		t.Fatalf("%s: ca.crt is not one certificate", name)
	}
	s.ca, err = x509.ParseCertificate(block.Bytes)
	check(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(s.ca)
	if _, err := s.cert.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return s
}

// usages are for what a certificate may be used.
func (s secret) usages() string {
	if s.cert.IsCA {
		return "an authority"
	}
	var all []string
	for _, u := range s.cert.ExtKeyUsage {
		all = append(all, map[x509.ExtKeyUsage]string{x509.ExtKeyUsageServerAuth: "servers", x509.ExtKeyUsageClientAuth: "clients"}[u])
	}
	slices.Sort(all)
	return strings.Join(all, " and ")
}

var dataLine = regexp.MustCompile(`(?m)^  (tls\.crt|tls\.key|ca\.crt): .*$`)

// withoutCertificate is a Secret's text with what its certificate is in its place. It fails
// the test if the certificate is not what the annotations say.
func withoutCertificate(t *testing.T, o object) string {
	t.Helper()
	data, _ := o.fields["data"].(map[string]any)
	s := readSecret(t, o.id, data)
	names, expires := o.field("metadata", "annotations", namesAnnotation), o.field("metadata", "annotations", expiresAnnotation)
	if want := strings.Split(names, ","); !s.cert.IsCA && !slices.Equal(want, s.cert.DNSNames) {
		t.Errorf("%s: the certificate is for %q, want %q", o.id, s.cert.DNSNames, want)
	}
	// The annotation is of the moment before, which may be of another day.
	end := s.cert.NotAfter.UTC()
	if got, before := end.Format(time.DateOnly), end.Add(-deadline).Format(time.DateOnly); got != expires && before != expires {
		t.Errorf("%s: the certificate ends on %s, and the annotation says %s", o.id, got, expires)
	}
	days := s.cert.NotAfter.Sub(s.cert.NotBefore).Round(time.Hour).Hours() / 24
	is := map[string]string{
		"tls.crt": fmt.Sprintf("(for %s, of %s, %v days)", s.usages(), s.cert.Issuer.CommonName, days),
		"tls.key": fmt.Sprintf("(%v)", s.cert.PublicKeyAlgorithm),
		"ca.crt":  fmt.Sprintf("(%s)", s.ca.Subject.CommonName),
	}
	text := dataLine.ReplaceAllStringFunc(o.text, func(line string) string {
		key := strings.TrimSpace(line[:strings.Index(line, ":")])
		return "  " + key + ": " + is[key]
	})
	return strings.ReplaceAll(text, expires, "(its end)")
}

// TestNames holds certificates to the names by which they are asked for, and the names that
// cert-manager is told to the same.
func TestNames(t *testing.T) {
	t.Parallel()
	const cluster = "prod.eu"
	relay := []string{"instance.hubble-relay.cilium.io", "hubble-relay", "hubble-relay.kube-system.svc", "localhost"}
	want := map[string][]string{
		"hubble-server-certs":       {nodename.ServerName(cluster, "node1"), nodename.ServerName(cluster, "ip-10-0-0-1.eu.example.com")},
		"hubble-relay-server-certs": relay,
	}
	h := newHelm(t)
	for _, method := range []string{"helm", "certManager"} {
		text, err := h.template(t, anyNamespace, kubeVersion, "clusterName: "+cluster+"\ntls: {method: "+method+"}")
		check(t, err)
		found := 0
		for _, o := range objects(t, text) {
			for _, name := range want[o.field("metadata", "name")] {
				found++
				c := x509.Certificate{}
				if data, ok := o.fields["data"].(map[string]any); ok {
					c = *readSecret(t, o.id, data).cert
				}
				if names, ok := o.at("spec", "dnsNames").([]any); ok {
					for _, n := range names {
						c.DNSNames = append(c.DNSNames, n.(string))
					}
				}
				if err := c.VerifyHostname(name); err != nil {
					t.Errorf("%s: %v", o.id, err)
				}
			}
		}
		if found != 6 {
			t.Errorf("by %s %d names were looked for", method, found)
		}
	}
}
