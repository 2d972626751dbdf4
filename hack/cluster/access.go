package cluster

import (
	"context"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"net"
	"net/netip"

	"github.com/fovea-obs/fovea/hack/pki"
)

// What a cluster's services get. The lab gives addresses to nodes and pods.
var (
	serviceRange4 = netip.MustParsePrefix("10.96.0.0/16")
	serviceRange6 = netip.MustParsePrefix("fd96::/108")
	// podRange4 and podRange6 are what all nodes' ranges are in.
	podRange4 = netip.MustParsePrefix("10.1.0.0/16")
	podRange6 = netip.MustParsePrefix("fd00::/16")
	// DNS is the first address of the cluster's DNS.
	DNS = netip.MustParseAddr("10.96.0.10")
)

// Access is what a client of the API server needs.
type Access struct {
	// Server is its URL.
	Server string
	// CA, Cert and Key are in PEM: whom to trust, and an administrator.
	CA, Cert, Key []byte
	// Dial connects to it from outside of the cluster's network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Access is for Go clients that run in this process.
func (c *Cluster) Access() Access {
	return Access{
		Server: c.control.url, CA: c.control.authority.PEM,
		Cert: c.control.admin.Cert, Key: c.control.admin.Key,
		Dial: c.control.node.NS.Dial,
	}
}

// Kubeconfig is the path of an administrator's kubeconfig. It works in the
// network namespace of any node.
func (c *Cluster) Kubeconfig() string { return c.state.path("admin.kubeconfig") }

// writeKubeconfig makes an identity of a user with groups, and the kubeconfig
// that goes with it.
func (c *Cluster) writeKubeconfig(ctl *control, name, user string, groups ...string) (path string, id pki.Identity, err error) {
	id, err = ctl.authority.Issue(pki.Request{Subject: pkix.Name{CommonName: user, Organization: groups}})
	if err != nil {
		return "", pki.Identity{}, err
	}
	b64 := base64.StdEncoding.EncodeToString
	path, err = c.state.write(name+".kubeconfig", fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: fovea
  cluster: {server: "%s", certificate-authority-data: %s}
users:
- name: %q
  user: {client-certificate-data: %s, client-key-data: %s}
contexts:
- name: fovea
  context: {cluster: fovea, user: %[3]q}
current-context: fovea
`, ctl.url, b64(ctl.authority.PEM), user, b64(id.Cert), b64(id.Key)))
	return path, id, err
}
