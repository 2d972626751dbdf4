package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net/http"
	"net/netip"

	"github.com/fovea-obs/fovea/hack/cluster/machine"
	"github.com/fovea-obs/fovea/hack/lab"
	"github.com/fovea-obs/fovea/hack/pki"
)

// The control plane's programs.
const (
	apiServer  = "kube-apiserver"
	controller = "kube-controller-manager"
	scheduler  = "kube-scheduler"
)

// control is the machine with the control plane.
type control struct {
	node      *lab.Node
	machine   *machine.Machine
	url       string // of the API server
	authority *pki.Authority
	admin     pki.Identity
	args      []string // of the API server
}

func (c *Cluster) startControl(ctx context.Context) (*control, error) {
	node, m, err := c.addMachine("control")
	if err != nil {
		return nil, err
	}
	ctl := &control{node: node, machine: m, url: fmt.Sprintf("https://%s:6443", node.IPv4)}
	if err := c.runControl(ctx, ctl); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return ctl, nil
}

func (c *Cluster) runControl(ctx context.Context, ctl *control) (err error) {
	if ctl.authority, err = pki.NewAuthority("fovea-cluster"); err != nil {
		return err
	}
	if ctl.args, err = c.apiServerArgs(ctl); err != nil {
		return err
	}
	const etcd = "http://127.0.0.1:2379"
	if err := c.run(ctl.machine, "etcd", "--data-dir", c.state.path("etcd"), "--unsafe-no-fsync", "--log-level", "warn",
		"--listen-client-urls", etcd, "--advertise-client-urls", etcd, "--listen-peer-urls", "http://127.0.0.1:2380"); err != nil {
		return err
	}
	if err := c.run(ctl.machine, apiServer, ctl.args...); err != nil {
		return err
	}
	if err := ctl.wait(ctx); err != nil {
		return err
	}
	return c.runControllers(ctl)
}

// apiServerArgs writes what the API server needs and returns its arguments.
func (c *Cluster) apiServerArgs(ctl *control) ([]string, error) {
	serving, err := ctl.authority.Issue(pki.Request{
		Subject:   pkix.Name{CommonName: apiServer},
		Addresses: []netip.Addr{ctl.node.IPv4, ctl.node.IPv6, serviceRange4.Addr().Next(), serviceRange6.Addr().Next()},
		Names:     []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
	})
	if err != nil {
		return nil, err
	}
	toKubelet, err := ctl.authority.Issue(pki.Request{
		Subject: pkix.Name{CommonName: "kube-apiserver-kubelet-client", Organization: []string{"system:masters"}},
	})
	if err != nil {
		return nil, err
	}
	accounts, err := pki.NewKey()
	if err != nil {
		return nil, err
	}
	private, err := pki.EncodeKey(accounts)
	if err != nil {
		return nil, err
	}
	public, err := pki.EncodePublic(accounts.Public())
	if err != nil {
		return nil, err
	}
	for name, text := range map[string][]byte{
		"ca.crt": ctl.authority.PEM, "apiserver.crt": serving.Cert, "apiserver.key": serving.Key,
		"kubelet-client.crt": toKubelet.Cert, "kubelet-client.key": toKubelet.Key,
		"accounts.key": private, "accounts.pub": public,
	} {
		if _, err := c.state.write(name, text); err != nil {
			return nil, err
		}
	}
	return []string{
		"--etcd-servers=http://127.0.0.1:2379",
		"--advertise-address=" + ctl.node.IPv4.String(), "--bind-address=::", "--secure-port=6443",
		"--tls-cert-file=" + c.state.path("apiserver.crt"), "--tls-private-key-file=" + c.state.path("apiserver.key"),
		"--client-ca-file=" + c.state.path("ca.crt"), "--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
		"--kubelet-client-certificate=" + c.state.path("kubelet-client.crt"),
		"--kubelet-client-key=" + c.state.path("kubelet-client.key"), "--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + c.state.path("accounts.pub"),
		"--service-account-signing-key-file=" + c.state.path("accounts.key"),
		fmt.Sprintf("--service-cluster-ip-range=%s,%s", serviceRange4, serviceRange6),
	}, nil
}

func (c *Cluster) runControllers(ctl *control) error {
	_, admin, err := c.writeKubeconfig(ctl, "admin", "admin", "system:masters")
	if err != nil {
		return err
	}
	ctl.admin = admin
	config, _, err := c.writeKubeconfig(ctl, controller, "system:"+controller)
	if err != nil {
		return err
	}
	// Ranges are given to nodes when they are made.
	if err := c.run(ctl.machine, controller, "--kubeconfig", config, "--leader-elect=false",
		"--use-service-account-credentials", "--service-account-private-key-file", c.state.path("accounts.key"),
		"--root-ca-file", c.state.path("ca.crt"), "--allocate-node-cidrs=false", "--flex-volume-plugin-dir", c.state.path("plugins")); err != nil {
		return err
	}
	config, _, err = c.writeKubeconfig(ctl, scheduler, "system:"+scheduler)
	if err != nil {
		return err
	}
	return c.run(ctl.machine, scheduler, "--kubeconfig", config, "--leader-elect=false")
}

// wait waits until the API server says that it is ready.
func (ctl *control) wait(ctx context.Context) error {
	ctx, stop := untilEnded(ctx, ctl.machine)
	defer stop()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ctl.authority.PEM)
	transport := &http.Transport{DialContext: ctl.node.NS.Dial, TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer transport.CloseIdleConnections()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, ctl.url+"/readyz", nil)
		if err != nil {
			return fmt.Errorf("ask the API server: %w", err)
		}
		r, err := transport.RoundTrip(req)
		if err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return nil
			}
		}
		if ended := pause(ctx); ended != nil {
			return fmt.Errorf("wait for the API server: %w", errors.Join(ended, err))
		}
	}
}

// StopAPIServer takes the API server away, until StartAPIServer.
func (c *Cluster) StopAPIServer() error { return c.control.machine.Stop(apiServer) }

// StartAPIServer starts the API server again and waits until it is ready.
func (c *Cluster) StartAPIServer(ctx context.Context) error {
	if err := c.run(c.control.machine, apiServer, c.control.args...); err != nil {
		return err
	}
	return c.control.wait(ctx)
}
