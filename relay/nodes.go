package relay

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/fovea-obs/fovea/internal/rpc"
	"github.com/fovea-obs/fovea/relay/discover"
	"github.com/fovea-obs/fovea/relay/peers"
)

// validateNodes checks what says which nodes there are.
func (c *Config) validateNodes(check func(ok bool, name, value, want string)) {
	const beside = ": each says which nodes there are"
	check(c.PeerService == "" || rpc.IsAddress(c.PeerService), "peer-service", c.PeerService, "host:port, unix:///path, or empty for none")
	names := map[string]bool{}
	for _, p := range c.Peers {
		name, address, ok := strings.Cut(p, "=")
		check(ok && name != "" && rpc.IsAddress(address), "peers", p, "names and addresses such as node1=10.0.0.1:4244")
		check(!names[name], "peers", p, "each name once")
		names[name] = true
	}
	if c.PeerEndpoints != "" {
		_, _, ok := splitService(c.PeerEndpoints)
		check(ok, "peer-endpoints", c.PeerEndpoints, "namespace/service such as kube-system/fovea")
		check(len(c.Peers) == 0, "peer-endpoints", c.PeerEndpoints, "no peers beside it"+beside)
	}
	others := c.PeerEndpoints != "" || len(c.Peers) > 0
	check(c.PeerService != "" || others, "peer-service", c.PeerService, "an address where there are neither peers nor peer-endpoints")
	check(c.PeerService == "" || c.PeerService == DefaultPeerService || !others, "peer-service", c.PeerService,
		"neither peers nor peer-endpoints beside it"+beside)
	check(c.Kubeconfig == "" || c.PeerEndpoints != "", "kubeconfig", c.Kubeconfig, "none without peer-endpoints, for which alone Kubernetes is asked")
	check(c.ClusterName != "" && !strings.ContainsAny(c.ClusterName, "/ "), "cluster-name", c.ClusterName, "a name with no space or slash")
}

// nodes has the peers be those that cfg says. Follow, if it is not nil, keeps them so
// until its context ends.
func nodes(cfg Config, p *peers.Peers, log *slog.Logger) (follow func(context.Context) error, err error) {
	switch {
	case len(cfg.Peers) > 0:
		if err := p.Set(static(cfg.Peers)); err != nil {
			return nil, fmt.Errorf("peers: %w", err)
		}
		return nil, nil
	case cfg.PeerEndpoints != "":
		namespace, service, _ := splitService(cfg.PeerEndpoints)
		source, err := discover.New(discover.Config{
			Kubeconfig: cfg.Kubeconfig, Namespace: namespace, Service: service,
			Cluster: cfg.ClusterName, TLS: !cfg.DisableClientTLS, Peers: p, Log: log,
		})
		if err != nil {
			return nil, fmt.Errorf("find Kubernetes for peer-endpoints %q: %w", cfg.PeerEndpoints, err)
		}
		return source.Run, nil
	}
	return func(ctx context.Context) error { return peers.Follow(ctx, p, cfg.PeerService, log) }, nil
}

// splitService reads namespace/service.
func splitService(s string) (namespace, service string, ok bool) {
	namespace, service, _ = strings.Cut(s, "/")
	return namespace, service, len(validation.IsDNS1123Label(namespace)) == 0 && len(validation.IsDNS1123Label(service)) == 0
}

// static are the nodes of a list of name=address.
func static(list []string) (nodes []peers.Node) {
	for _, p := range list {
		name, address, _ := strings.Cut(p, "=")
		nodes = append(nodes, peers.Node{Name: name, Address: address})
	}
	return nodes
}
