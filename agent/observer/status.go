package observer

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	relaypb "github.com/cilium/cilium/api/v1/relay"

	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/internal/nodename"
)

const (
	// ratePeriod is the time over which the rate of flows is told.
	ratePeriod = time.Minute
	// leastPeriod is the least that a number of flows is spread over: right after
	// the start a few would make a rate that nobody saw.
	leastPeriod = time.Second
)

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

// GetNodes tells of this node, and of the others that there are. What state
// those are in an agent does not know.
func (s *Server) GetNodes(context.Context, *observerpb.GetNodesRequest) (*observerpb.GetNodesResponse, error) {
	all, _ := s.c.Peers.All()
	nodes := make([]*observerpb.Node, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		node := &observerpb.Node{
			Name: name, Address: nodename.Address(all[name]), State: relaypb.NodeState_UNKNOWN_NODE_STATE, Tls: &observerpb.TLS{},
		}
		if s.c.TLS {
			node.Tls = &observerpb.TLS{
				Enabled: true, ServerName: nodename.ServerName(s.c.Cluster, strings.TrimPrefix(name, s.c.Cluster+"/")),
			}
		}
		if name == s.tables.Node {
			s.describe(node)
		}
		nodes = append(nodes, node)
	}
	return &observerpb.GetNodesResponse{Nodes: nodes}, nil
}

// describe adds what only this node knows of itself.
func (s *Server) describe(node *observerpb.Node) {
	held, seen := flowCounts(s.c.History)
	node.Version = s.version()
	node.State = relaypb.NodeState_NODE_CONNECTED
	node.UptimeNs = s.uptime(s.c.Now())
	node.NumFlows, node.MaxFlows, node.SeenFlows = held, s.c.History.Capacity(), seen
}

// GetNamespaces tells the namespaces that had flows in the last hour. As in
// Hubble, those of the cluster called default are told without a cluster.
func (s *Server) GetNamespaces(context.Context, *observerpb.GetNamespacesRequest) (*observerpb.GetNamespacesResponse, error) {
	return &observerpb.GetNamespacesResponse{Namespaces: s.namespaces.list(s.remembered())}, nil
}

// flowCounts returns how many flows a history holds, of those that it always
// can, and how many there ever were. Events that were lost are no flows.
func flowCounts(h *history.History) (held, seen uint64) {
	overwritten := flowsBefore(h, h.Oldest())
	seen = flowsBefore(h, h.Next())
	return min(seen-overwritten, h.Capacity()), seen
}

// flowsBefore returns how many flows there ever were before a sequence number or,
// if its record was overwritten, before the oldest that is left.
func flowsBefore(h *history.History, seq uint64) uint64 {
	for seq > 0 {
		segment, err := h.Segment(min(seq, h.Next()-1))
		if err == nil {
			defer segment.Release()
			return segment.Flows(int(seq - segment.First))
		}
		seq = max(seq, h.Oldest())
	}
	return 0
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
	before := flowsBefore(h, first)
	flows := flowsBefore(h, h.Next()) - before
	return float64(flows) / max(now.Sub(begin), leastPeriod).Seconds()
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
