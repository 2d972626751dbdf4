package apiserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/fovea-obs/fovea/hack/stock"
)

// readyTimeout is how long a program may take to serve.
const readyTimeout = time.Minute

// Advertised is the address at which the API server says that it is. Nobody is.
const Advertised = "192.0.2.1"

// Server is the API of a cluster.
type Server struct {
	// Kubeconfig is the path of a file by which clients may do all, Limited of one by
	// which they may do what roles give to LimitedUser.
	Kubeconfig, Limited string

	programs, dir      string
	etcdPort, peerPort int
	port               int
	log                io.Writer
	etcd, api          *process
}

// Start starts the API of a new cluster, with files in dir, which must be empty,
// and waits until it serves. Programs are built if they are not there: see
// [stock.Kubernetes]. Log gets what they print. The caller must Close it.
func Start(ctx context.Context, dir string, log io.Writer) (_ *Server, err error) {
	programs, err := stock.Kubernetes(ctx)
	if err != nil {
		return nil, err
	}
	s := &Server{programs: programs, dir: dir, log: log}
	s.Kubeconfig, s.Limited = s.path("kubeconfig"), s.path("limited")
	for _, p := range []*int{&s.etcdPort, &s.peerPort, &s.port} {
		if *p, err = freePort(ctx); err != nil {
			return nil, err
		}
	}
	if err := s.writeKeys(); err != nil {
		return nil, fmt.Errorf("write keys: %w", err)
	}
	client, peer := loopback("http", s.etcdPort), loopback("http", s.peerPort)
	s.etcd, err = start(s.program("etcd"), s.log,
		"--data-dir", s.path("etcd"), "--unsafe-no-fsync", "--log-level", "error",
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer,
		"--quota-backend-bytes", strconv.Itoa(4<<30))
	if err != nil {
		return nil, err
	}
	if err := await(ctx, s.etcd, http.DefaultClient, client+"/health"); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.StartAPI(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// StartAPI starts kube-apiserver, again after a StopAPI, at the same address, and
// waits until it serves.
func (s *Server) StartAPI(ctx context.Context) (err error) {
	s.api, err = start(s.program("kube-apiserver"), s.log,
		"--etcd-servers", loopback("http", s.etcdPort), "--etcd-compaction-interval", "0",
		"--bind-address", "127.0.0.1", "--secure-port", strconv.Itoa(s.port), "--cert-dir", s.path("certs"),
		"--advertise-address", Advertised, "--service-cluster-ip-range", "10.96.0.0/16,fd00:96::/112",
		"--authorization-mode", "RBAC", "--token-auth-file", s.path("tokens"),
		"--service-account-issuer", "https://kubernetes.default.svc",
		"--service-account-key-file", s.path("account.key"), "--service-account-signing-key-file", s.path("account.key"),
		// There is nobody to make service accounts.
		"--disable-admission-plugins", "ServiceAccount",
		"--enable-priority-and-fairness=false", "--max-requests-inflight", "0", "--max-mutating-requests-inflight", "0",
		"--shutdown-delay-duration", "0s", "--v", "0")
	if err != nil {
		return err
	}
	client, err := s.client()
	for ; err != nil; client, err = s.client() {
		// It makes its certificate when it starts.
		if err := s.api.pause(ctx, err); err != nil {
			return err
		}
	}
	defer client.CloseIdleConnections()
	if err := await(ctx, s.api, client, loopback("https", s.port)+"/readyz"); err != nil {
		return err
	}
	return s.writeKubeconfigs()
}

// StopAPI ends kube-apiserver at once, as in good order it would wait for its
// clients for a minute. What was written stays.
func (s *Server) StopAPI() error {
	api := s.api
	s.api = nil
	return api.kill()
}

// Close ends all.
func (s *Server) Close() error {
	var errs []error
	for _, p := range []*process{s.api, s.etcd} {
		if p != nil {
			errs = append(errs, p.kill())
		}
	}
	return errors.Join(errs...)
}

func (s *Server) program(name string) string { return filepath.Join(s.programs, name) }

func (s *Server) path(name string) string { return filepath.Join(s.dir, name) }

func loopback(scheme string, port int) string { return fmt.Sprintf("%s://127.0.0.1:%d", scheme, port) }

// freePort is one that nobody listens on now.
func freePort(ctx context.Context) (int, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// await asks a program until it answers that all is well.
func await(ctx context.Context, p *process, client *http.Client, url string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		err := ask(ctx, client, url)
		if err == nil {
			return nil
		}
		if err := p.pause(ctx, err); err != nil {
			return err
		}
	}
}

func ask(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	r, err := client.Do(req)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(io.LimitReader(r.Body, 4096))
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", r.Status, bytes.TrimSpace(text))
	}
	return err
}

// write makes a file of the server's.
func (s *Server) write(name string, text []byte) error {
	return os.WriteFile(s.path(name), text, 0o600)
}
