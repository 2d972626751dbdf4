//go:build e2e

package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"testing"
)

// testAccess asks the API server as a Go client in this process does.
func testAccess(t *testing.T, f *fixture) {
	access := f.Access()
	cert, err := tls.X509KeyPair(access.Cert, access.Key)
	check(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(access.CA)
	transport := &http.Transport{
		DialContext:     access.Dial,
		TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{cert}},
	}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(testContext(t), http.MethodGet, access.Server+"/api/v1/nodes", nil)
	check(t, err)
	resp, err := transport.RoundTrip(req)
	check(t, err)
	defer resp.Body.Close()
	var nodes struct{ Items []any }
	check(t, json.NewDecoder(resp.Body).Decode(&nodes))
	if resp.StatusCode != http.StatusOK || len(nodes.Items) != len(f.Nodes()) {
		t.Errorf("%s with %d nodes", resp.Status, len(nodes.Items))
	}
}
