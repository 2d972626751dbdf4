package observer

import (
	"context"
	"strings"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	relaypb "github.com/cilium/cilium/api/v1/relay"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/agent/peer"
)

// ratePeriod is the time over which the rate of flows is told.
const ratePeriod = time.Minute

// ServerStatus tells of the agent, and in its version what is degraded.
func (s *Server) ServerStatus(context.Context, *observerpb.ServerStatusRequest) (*observerpb.ServerStatusResponse, error) {
	now := s.c.Now()
	held, seen := flowCounts(s.c.History)
	return &observerpb.ServerStatusResponse{
		NumFlows:  held,
		MaxFlows:  s.c.History.Capacity(),
		SeenFlows: seen,
		UptimeNs:  s.uptime(now),
		Version:   s.version(),
		FlowsRate: s.rate(now),
	}, nil
}

// GetNodes tells of this node.
func (s *Server) GetNodes(context.Context, *observerpb.GetNodesRequest) (*observerpb.GetNodesResponse, error) {
	held, seen := flowCounts(s.c.History)
	node := &observerpb.Node{
		Name:      s.name,
		Version:   s.version(),
		Address:   peer.Address(s.c.Address),
		State:     relaypb.NodeState_NODE_CONNECTED,
		Tls:       &observerpb.TLS{},
		UptimeNs:  s.uptime(s.c.Now()),
		NumFlows:  held,
		MaxFlows:  s.c.History.Capacity(),
		SeenFlows: seen,
	}
	if s.c.TLS {
		node.Tls = &observerpb.TLS{Enabled: true, ServerName: peer.ServerName(s.c.Cluster, s.c.NodeName)}
	}
	return &observerpb.GetNodesResponse{Nodes: []*observerpb.Node{node}}, nil
}

// GetNamespaces tells the namespaces that had flows in the last hour. As in
// Hubble, those of the cluster called default are told without a cluster.
func (s *Server) GetNamespaces(context.Context, *observerpb.GetNamespacesRequest) (*observerpb.GetNamespacesResponse, error) {
	since := s.c.Now().Add(-rememberNamespace).UnixNano()
	return &observerpb.GetNamespacesResponse{Namespaces: s.namespaces.list(since)}, nil
}

// GetAgentEvents is not served.
func (s *Server) GetAgentEvents(*observerpb.GetAgentEventsRequest, grpc.ServerStreamingServer[observerpb.GetAgentEventsResponse]) error {
	return status.Error(codes.Unimplemented, "agent events are those of Cilium's agent: fovea has none to tell yet")
}

// GetDebugEvents is not served.
func (s *Server) GetDebugEvents(*observerpb.GetDebugEventsRequest, grpc.ServerStreamingServer[observerpb.GetDebugEventsResponse]) error {
	return status.Error(codes.Unimplemented, "debug events are those of Cilium's datapath: fovea has none to tell")
}

// flowCounts returns how many flows a history holds, of those that it always
// can, and how many there ever were.
func flowCounts(h *history.History) (held, seen uint64) {
	oldest := h.Oldest()
	seen = h.Next()
	return min(seen-oldest, h.Capacity()), seen
}

func (s *Server) uptime(now time.Time) uint64 {
	return uint64(max(0, now.Sub(s.c.Started)))
}

func (s *Server) version() string {
	if d := s.c.Degraded(); len(d) > 0 {
		return s.c.Version + " (degraded: " + strings.Join(d, ", ") + ")"
	}
	return s.c.Version
}

// rate is the number of flows per second over the last minute, or over what
// there is of it: since the agent's start, or in a history that holds less.
func (s *Server) rate(now time.Time) float64 {
	h := s.c.History
	begin := now.Add(-ratePeriod)
	if s.c.Started.After(begin) {
		begin = s.c.Started
	}
	oldest := h.Oldest()
	first := max(oldest, seek(h, begin.UnixNano()))
	if first == oldest && oldest > 0 {
		// Flows of the period were overwritten, so it begins with what is left.
		if at, ok := timeOf(h, first); ok {
			begin = time.Unix(0, at)
		}
	}
	period := now.Sub(begin)
	if period <= 0 {
		return 0
	}
	return float64(h.Next()-first) / period.Seconds()
}

// timeOf returns the time of a record, if it is still there.
func timeOf(h *history.History, seq uint64) (at int64, ok bool) {
	if seq >= h.Next() {
		return 0, false
	}
	segment, err := h.Segment(seq)
	if err != nil {
		return 0, false
	}
	defer segment.Release()
	return segment.Columns().Time[seq-segment.First], true
}
