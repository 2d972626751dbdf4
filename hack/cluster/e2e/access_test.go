//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
)

// testAccess asks the API server as a Go client in this process does.
func testAccess(t *testing.T, f *fixture) {
	var nodes struct{ Items []any }
	check(t, newAPI(t, f).do(testContext(t), http.MethodGet, "/api/v1/nodes", nil, &nodes))
	if len(nodes.Items) != len(f.Nodes()) {
		t.Errorf("%d nodes, want %d", len(nodes.Items), len(f.Nodes()))
	}
}

// api asks the API server as an administrator, sooner than kubectl does.
type api struct {
	server    string
	transport *http.Transport
}

func newAPI(t *testing.T, f *fixture) *api {
	t.Helper()
	access := f.Access()
	cert, err := tls.X509KeyPair(access.Cert, access.Key)
	check(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(access.CA)
	a := &api{server: access.Server, transport: &http.Transport{
		DialContext:     access.Dial,
		TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{cert}},
	}}
	t.Cleanup(a.transport.CloseIdleConnections)
	return a
}

// do makes a request, with an object if in is one, and reads the answer into out.
func (a *api) do(ctx context.Context, method, path string, in, out any) error {
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, a.server+path, &body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := a.transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= http.StatusBadRequest {
		err = fmt.Errorf("%s: %s", resp.Status, text)
	}
	if err == nil && out != nil {
		err = json.Unmarshal(text, out)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}
