package peer

import (
	"maps"
	"slices"
	"strings"

	peerpb "github.com/cilium/cilium/api/v1/peer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/fovea-obs/fovea/internal/nodename"
)

// Config tells of the node and of the others.
type Config struct {
	// NodeName is the node's name in the cluster.
	NodeName, Cluster string
	// Nodes are all nodes, this one too.
	Nodes *Nodes
	// TLS tells whether agents are served with TLS.
	TLS bool
}

// Server implements Hubble's Peer service. It is safe for concurrent use.
type Server struct {
	peerpb.UnimplementedPeerServer
	c Config
}

// New returns the service of the node.
func New(c Config) *Server { return &Server{c: c} }

// Notify tells of all nodes, first of the one that it is on, and then of what
// changes until the client goes. A client that is slow to read misses what came
// and went meanwhile, and nothing of what is there in the end.
func (s *Server) Notify(_ *peerpb.NotifyRequest, stream grpc.ServerStreamingServer[peerpb.ChangeNotification]) error {
	var told map[string]string
	for {
		all, changed := s.c.Nodes.All()
		for _, n := range s.changes(told, all) {
			if err := stream.Send(n); err != nil {
				return err
			}
		}
		told = all
		select {
		case <-stream.Context().Done():
			return status.FromContextError(stream.Context().Err()).Err()
		case <-changed:
		}
	}
}

// changes are what a client that was told of some nodes has to hear.
func (s *Server) changes(told, all map[string]string) (list []*peerpb.ChangeNotification) {
	for _, name := range slices.Sorted(maps.Keys(told)) {
		if _, ok := all[name]; !ok {
			list = append(list, s.notification(name, told[name], peerpb.ChangeNotificationType_PEER_DELETED))
		}
	}
	for _, name := range s.selfFirst(all) {
		switch before, ok := told[name]; {
		case !ok:
			list = append(list, s.notification(name, all[name], peerpb.ChangeNotificationType_PEER_ADDED))
		case before != all[name]:
			list = append(list, s.notification(name, all[name], peerpb.ChangeNotificationType_PEER_UPDATED))
		}
	}
	return list
}

func (s *Server) selfFirst(all map[string]string) []string {
	self := nodename.Name(s.c.Cluster, s.c.NodeName)
	names := slices.Collect(maps.Keys(all))
	slices.SortFunc(names, func(a, b string) int {
		switch {
		case a == b:
			return 0
		case a == self:
			return -1
		case b == self:
			return 1
		}
		return strings.Compare(a, b)
	})
	return names
}

// notification has a TLS name only if agents are served with TLS: a relay
// without TLS refuses peers that have one, and a relay with it those that have
// none.
func (s *Server) notification(name, address string, t peerpb.ChangeNotificationType) *peerpb.ChangeNotification {
	n := &peerpb.ChangeNotification{Name: name, Address: nodename.Address(address), Type: t}
	if s.c.TLS {
		n.Tls = &peerpb.TLS{ServerName: nodename.ServerName(s.c.Cluster, strings.TrimPrefix(name, s.c.Cluster+"/"))}
	}
	return n
}
