package relay

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	peerpb "github.com/cilium/cilium/api/v1/peer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/fovea-obs/fovea/hack/pki"
)

const nodeName = "node1.default.hubble-grpc.cilium.io"

// node is a server of Hubble's that has seen nothing, and tells of itself as a peer.
type node struct {
	observerpb.UnimplementedObserverServer
	peerpb.UnimplementedPeerServer
	address string
}

func (n *node) ServerStatus(context.Context, *observerpb.ServerStatusRequest) (*observerpb.ServerStatusResponse, error) {
	return &observerpb.ServerStatusResponse{NumFlows: 7}, nil
}

func (n *node) Notify(_ *peerpb.NotifyRequest, stream grpc.ServerStreamingServer[peerpb.ChangeNotification]) error {
	for name, server := range map[string]string{"node1": nodeName, "liar": "liar.default.hubble-grpc.cilium.io"} {
		err := stream.Send(&peerpb.ChangeNotification{
			Name: name, Address: n.address, Type: peerpb.ChangeNotificationType_PEER_ADDED, Tls: &peerpb.TLS{ServerName: server},
		})
		if err != nil {
			return err
		}
	}
	<-stream.Context().Done()
	return nil
}

// write puts an identity and an authority into files, and returns where they are.
func write(t *testing.T, id pki.Identity, a *pki.Authority) TLS {
	t.Helper()
	dir := t.TempDir()
	files := TLS{filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"), []string{filepath.Join(dir, "ca.crt")}}
	for path, content := range map[string][]byte{files.CertFile: id.Cert, files.KeyFile: id.Key, files.CAFiles[0]: a.PEM} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func issue(t *testing.T, a *pki.Authority, names ...string) pki.Identity {
	t.Helper()
	id, err := a.Issue(pki.Request{Names: names})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// credentialsOf shows an identity, and trusts an authority.
func credentialsOf(t *testing.T, id *pki.Identity, a *pki.Authority, name string) *tls.Config {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(a.PEM)
	c := &tls.Config{RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, ServerName: name, MinVersion: tls.VersionTLS13}
	if id != nil {
		pair, err := tls.X509KeyPair(id.Cert, id.Key)
		if err != nil {
			t.Fatal(err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c
}

// freeAddress is one of loopback that nobody listens to.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestTLS has a relay ask a node, and be asked, with certificates on both sides.
func TestTLS(t *testing.T) {
	authority, err := pki.NewAuthority("test")
	if err != nil {
		t.Fatal(err)
	}
	nodeID, relayID := issue(t, authority, nodeName), issue(t, authority, "ui.hubble-relay.cilium.io")
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &node{address: l.Addr().String()}
	server, served := grpc.NewServer(grpc.Creds(credentials.NewTLS(credentialsOf(t, &nodeID, authority, "")))), make(chan error, 1)
	observerpb.RegisterObserverServer(server, n)
	peerpb.RegisterPeerServer(server, n)
	go func() { served <- server.Serve(l) }()
	// A Peer service on a unix socket has no TLS, as agents serve it.
	service := serveNode(t, func(s *grpc.Server) { peerpb.RegisterPeerServer(s, n) })

	cfg := DefaultConfig("relay")
	cfg.ListenAddress, cfg.HealthListenAddress = freeAddress(t), freeAddress(t)
	cfg.PeerService = service
	cfg.Client, cfg.Server = write(t, relayID, authority), write(t, relayID, authority)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, cfg, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		err := <-done
		server.Stop()
		if err := errors.Join(err, <-served); err != nil {
			t.Error(err)
		}
	})

	ask := func(id *pki.Identity, within time.Duration) (*observerpb.ServerStatusResponse, error) {
		conn, err := grpc.NewClient("passthrough:///"+cfg.ListenAddress,
			grpc.WithTransportCredentials(credentials.NewTLS(credentialsOf(t, id, authority, "ui.hubble-relay.cilium.io"))))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		return observerpb.NewObserverClient(conn).ServerStatus(ctx, &observerpb.ServerStatusRequest{}, grpc.WaitForReady(id != nil))
	}
	client := issue(t, authority)
	deadline := time.Now().Add(20 * time.Second)
	for {
		got, err := ask(&client, 10*time.Second)
		if err == nil && got.GetNumConnectedNodes().GetValue() == 1 && got.GetNumUnavailableNodes().GetValue() == 1 {
			// One is not whom it says to be.
			if got.GetNumFlows() != 7 || got.GetUnavailableNodes()[0] != "liar" {
				t.Errorf("status %v", got)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("status %v, %v", got, err)
		}
	}
	if got, err := ask(nil, 10*time.Second); status.Code(err) != codes.Unavailable {
		t.Errorf("without a certificate: %v, %v", got, err)
	}
	conn, err := grpc.NewClient("passthrough:///"+cfg.HealthListenAddress, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil || r.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("health %v, %v", r, err)
	}
}

func TestValidate(t *testing.T) {
	good := DefaultConfig("relay")
	good.DisableClientTLS, good.DisableServerTLS = true, true
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"peers":          func(c *Config) { c.Peers = []string{"a=10.0.0.1:4244"} },
		"peers alone":    func(c *Config) { c.Peers, c.PeerService = []string{"a=10.0.0.1:4244"}, "" },
		"endpoints":      func(c *Config) { c.PeerEndpoints, c.Kubeconfig = "kube-system/fovea", "x" },
		"a peer service": func(c *Config) { c.PeerService = "peers:4244" },
	} {
		c := good
		change(&c)
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, tt := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"nothing said of TLS":     {func(c *Config) { c.DisableClientTLS, c.DisableServerTLS = false, false }, "tls-relay-server-cert-file"},
		"no authorities":          {func(c *Config) { c.DisableClientTLS = false }, "tls-hubble-server-ca-files"},
		"files without TLS":       {func(c *Config) { c.Server.CertFile = "x" }, `tls-relay-server-cert-file: "x", want none where disable-server-tls is given`},
		"a key alone":             {func(c *Config) { c.DisableServerTLS, c.Server.KeyFile = false, "x" }, "tls-relay-server-cert-file"},
		"a certificate alone":     {func(c *Config) { c.DisableServerTLS, c.Server.CertFile = false, "x" }, "tls-relay-server-key-file"},
		"no port":                 {func(c *Config) { c.ListenAddress = "localhost" }, "listen-address"},
		"no nodes":                {func(c *Config) { c.PeerService = "" }, "peer-service"},
		"a name twice":            {func(c *Config) { c.Peers = []string{"a=10.0.0.1:1", "a=10.0.0.1:2"} }, `peers: "a=10.0.0.1:2", want each name once`},
		"a node with no name":     {func(c *Config) { c.Peers = []string{"10.0.0.1:4244"} }, `peers: "10.0.0.1:4244"`},
		"metrics at no port":      {func(c *Config) { c.MetricsListenAddress = "localhost" }, `metrics-listen-address: "localhost"`},
		"no time":                 {func(c *Config) { c.SortBufferDrainTimeout = 0 }, "sort-buffer-drain-timeout"},
		"two that say the nodes":  {func(c *Config) { c.Peers, c.PeerEndpoints = []string{"a=10.0.0.1:4244"}, "kube-system/fovea" }, `peer-endpoints: "kube-system/fovea", want no peers`},
		"a service beside peers":  {func(c *Config) { c.Peers, c.PeerService = []string{"a=10.0.0.1:4244"}, "peers:4244" }, `peer-service: "peers:4244", want neither`},
		"a service and endpoints": {func(c *Config) { c.PeerEndpoints, c.PeerService = "kube-system/fovea", "peers:4244" }, `peer-service: "peers:4244", want neither`},
		"no namespace":            {func(c *Config) { c.PeerEndpoints = "fovea" }, `peer-endpoints: "fovea", want namespace/service`},
		"no service":              {func(c *Config) { c.PeerEndpoints = "kube-system/" }, "peer-endpoints"},
		"a selector":              {func(c *Config) { c.PeerEndpoints = "kube-system/a,b" }, "peer-endpoints"},
		"Kubernetes for nothing":  {func(c *Config) { c.Kubeconfig = "x" }, `kubeconfig: "x", want none without peer-endpoints`},
		"no cluster":              {func(c *Config) { c.ClusterName = "" }, "cluster-name"},
		"a cluster of a node":     {func(c *Config) { c.ClusterName = "prod/node1" }, "cluster-name"},
		"the health's own port":   {func(c *Config) { c.HealthListenAddress = ":x" }, "health-listen-address"},
	} {
		c := good
		tt.change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
}

// TestNoKubernetes has a relay find its nodes where there is no Kubernetes.
func TestNoKubernetes(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	c := DefaultConfig("relay")
	c.DisableClientTLS, c.DisableServerTLS, c.PeerEndpoints = true, true, "kube-system/fovea"
	err := Run(t.Context(), c, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), `find Kubernetes for peer-endpoints "kube-system/fovea": this is no pod`) {
		t.Errorf("got %v", err)
	}
}
