//go:build e2e

package e2e

import (
	"context"
	"crypto/x509/pkix"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fovea-obs/fovea/hack/pki"
)

// forward has kubectl forward a local port to the relay, until the script ends.
const forward = `
kubectl --namespace kube-system port-forward service/hubble-relay 4245:443 > forward.txt &
until grep -q "^Forwarding from 127.0.0.1" forward.txt; do kill -0 $!; sleep 0.05; done
`

// testAccess asks with the certificate of the installation, by the ways that there are,
// and as those do who have none, or that of another authority.
func (i *installTest) testAccess(ctx context.Context, t *testing.T) {
	for _, way := range []struct{ name, before, args string }{
		{"port-forward of hubble", "", "--port-forward"},
		{"port-forward of kubectl", forward, ""},
	} {
		t.Run(way.name, func(t *testing.T) {
			text := i.run(ctx, t, way.before+"hubble list nodes --output json "+way.args)
			if n := strings.Count(text, `"state":"NODE_CONNECTED"`) + strings.Count(text, `"state": "NODE_CONNECTED"`); n != len(i.Nodes()) {
				t.Errorf("%d of %d nodes are connected: %s", n, len(i.Nodes()), text)
			}
		})
	}
	i.writeStranger(t)
	relay := "hubble --config none.yaml status --port-forward --tls --tls-ca-cert-files hubble-ca.crt --tls-server-name instance.hubble-relay.cilium.io"
	agent := fmt.Sprintf("hubble --config none.yaml status --server %s:4244 --tls --tls-ca-cert-files hubble-ca.crt --tls-server-name node1.default.hubble-grpc.cilium.io", i.Nodes()[0].IPv4)
	ours := " --tls-client-cert-file hubble-tls.crt --tls-client-key-file hubble-tls.key"
	theirs := " --tls-client-cert-file stranger.crt --tls-client-key-file stranger.key"
	for _, try := range []struct{ name, script, refused string }{
		{"relay", relay + ours, ""},
		{"relay without certificate", relay, "certificate required"},
		{"relay with a stranger's certificate", relay + theirs, "unknown certificate authority"},
		{"relay in plaintext", "hubble --config none.yaml status --port-forward", "error reading server preface"},
		{"relay of another authority", strings.Replace(relay, "hubble-ca.crt", "stranger-ca.crt", 1) + ours, "unknown authority"},
		{"agent", agent + ours, ""},
		{"agent without certificate", agent, "certificate required"},
		{"agent with a stranger's certificate", agent + theirs, "unknown certificate authority"},
	} {
		t.Run(try.name, func(t *testing.T) {
			text, err := i.shell.run(ctx, try.script)
			switch {
			case try.refused == "" && err != nil:
				t.Error(err)
			case try.refused != "" && err == nil:
				t.Errorf("was not refused: %s", text)
			case try.refused != "" && !strings.Contains(err.Error(), try.refused):
				t.Errorf("want refused as %q: %v", try.refused, err)
			}
		})
	}
}

// writeStranger writes an authority and a certificate that the installation does not
// know.
func (i *installTest) writeStranger(t *testing.T) {
	t.Helper()
	authority, err := pki.NewAuthority("stranger")
	check(t, err)
	identity, err := authority.Issue(pki.Request{
		Subject: pkix.Name{CommonName: "stranger"}, Names: []string{"instance.hubble-relay.cilium.io"},
	})
	check(t, err)
	for name, text := range map[string][]byte{
		"stranger-ca.crt": authority.PEM, "stranger.crt": identity.Cert, "stranger.key": identity.Key, "none.yaml": nil,
	} {
		check(t, os.WriteFile(filepath.Join(i.shell.dir, name), text, 0o600))
	}
}
