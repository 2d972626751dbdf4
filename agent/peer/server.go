package peer

import (
	peerpb "github.com/cilium/cilium/api/v1/peer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

// Config tells of the node.
type Config struct {
	// NodeName is the node's name in the cluster.
	NodeName, Cluster string
	// Address is where other nodes reach the node's agent: host:port, or a
	// host alone for port 4244.
	Address string
	// TLS tells whether the agent is served with TLS there.
	TLS bool
}

// Server implements Hubble's Peer service for one node. It is safe for
// concurrent use.
type Server struct {
	peerpb.UnimplementedPeerServer
	self Config
}

// New returns the service of the node.
func New(c Config) *Server { return &Server{self: c} }

// Notify tells of the node itself, and then nothing until the client goes.
func (s *Server) Notify(_ *peerpb.NotifyRequest, stream grpc.ServerStreamingServer[peerpb.ChangeNotification]) error {
	if err := stream.Send(s.added()); err != nil {
		return err
	}
	<-stream.Context().Done()
	return status.FromContextError(stream.Context().Err()).Err()
}

// added has a TLS name only if the agent is served with TLS: a relay without
// TLS refuses peers that have one, and a relay with it those that have none.
func (s *Server) added() *peerpb.ChangeNotification {
	n := &peerpb.ChangeNotification{
		Name:    Name(s.self.Cluster, s.self.NodeName),
		Address: Address(s.self.Address),
		Type:    peerpb.ChangeNotificationType_PEER_ADDED,
	}
	if s.self.TLS {
		n.Tls = &peerpb.TLS{ServerName: ServerName(s.self.Cluster, s.self.NodeName)}
	}
	return n
}
