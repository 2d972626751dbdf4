package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	"github.com/cilium/ebpf"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/fovea-obs/fovea/bpf"
	"github.com/fovea-obs/fovea/hack/cluster"
	"github.com/fovea-obs/fovea/hack/process"
)

// sweeps are the programs that run in the agent's own time.
const sweeps = "sweep_"

// agent is that of a node.
type agent struct {
	pid     int
	objects process.Objects
	stats   *ebpf.Map
	conn    *grpc.ClientConn
	client  observerpb.ObserverClient
}

// sample is what an agent has used and told since it began.
type sample struct {
	at                     time.Time
	cpu                    time.Duration
	flows, lost, untracked uint64
	held                   float64
}

// newAgent finds a node's agent, and connects to it as a relay does. The caller must
// close it.
func newAgent(c *cluster.Cluster, n *cluster.Node, config *tls.Config) (a *agent, err error) {
	a = &agent{}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("the agent of %s: %w", n.Name, err), a.close())
		}
	}()
	if a.pid, err = findProcess(cgroupOf(c, n), "fovea", "agent"); err != nil {
		return nil, err
	}
	if a.objects, err = process.Held(a.pid); err != nil {
		return nil, err
	}
	if a.stats, err = a.objects.Map("cpu_stats"); err != nil {
		return nil, err
	}
	config = config.Clone()
	config.ServerName = n.Name + ".default.hubble-grpc.cilium.io"
	a.conn, err = grpc.NewClient("passthrough:///"+netip.AddrPortFrom(n.IPv4, 4244).String(),
		grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return n.NS.Dial(ctx, "tcp", address)
		}))
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	a.client = observerpb.NewObserverClient(a.conn)
	return a, nil
}

func (a *agent) close() error {
	if a.conn == nil {
		return a.stats.Close()
	}
	return errors.Join(a.stats.Close(), a.conn.Close())
}

// sample asks the agent, and the kernel of it.
func (a *agent) sample(ctx context.Context) (s sample, err error) {
	status, err := a.client.ServerStatus(ctx, &observerpb.ServerStatusRequest{}, grpc.WaitForReady(true))
	if err != nil {
		return s, fmt.Errorf("ask the agent's status: %w", err)
	}
	s.at, s.flows = time.Now(), status.GetSeenFlows()
	s.held = float64(status.GetNumFlows()) / float64(max(1, status.GetMaxFlows()))
	var counts []bpf.FoveaStats
	if err := a.stats.Lookup(uint32(0), &counts); err != nil {
		return s, fmt.Errorf("read the agent's counters: %w", err)
	}
	for _, c := range counts {
		s.lost += c.Lost
		s.untracked += c.Untracked
	}
	s.cpu, err = cpuTime(a.pid)
	return s, err
}

// since is what an agent took from one sample to another, and of memory at the later.
func (a *agent) since(before, after sample) (v values, err error) {
	seconds := after.at.Sub(before.at).Seconds()
	v.flows = float64(after.flows-before.flows) / seconds
	v.cpu = (after.cpu - before.cpu).Seconds() / seconds
	v.held = after.held
	v.lost, v.untracked = float64(after.lost-before.lost), float64(after.untracked-before.untracked)
	if v.rss, v.peak, err = residentMiB(a.pid); err != nil {
		return v, err
	}
	v.memory, err = chargedMiB(a.pid)
	return v, err
}

// clientConfig is what the chart gives to clients of agents.
func clientConfig(ctx context.Context, c *cluster.Cluster) (*tls.Config, error) {
	text, err := c.Kubectl(ctx, "--namespace", namespace, "get", "secret", "hubble-relay-client-certs", "--output", "json")
	if err != nil {
		return nil, err
	}
	var secret struct{ Data map[string][]byte }
	if err := json.Unmarshal([]byte(text), &secret); err != nil {
		return nil, fmt.Errorf("read the secret for clients: %w", err)
	}
	pair, err := tls.X509KeyPair(secret.Data["tls.crt"], secret.Data["tls.key"])
	if err != nil {
		return nil, fmt.Errorf("read the certificate for clients: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(secret.Data["ca.crt"])
	return &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots}, nil
}
