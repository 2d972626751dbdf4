package observer

import (
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/fovea-obs/fovea/relay/ask"
)

// request is what all calls that tell what happened are asked with.
type request interface {
	ask.Request
	GetNumber() uint64
	GetFirst() bool
	GetSince() *timestamppb.Timestamp
	GetUntil() *timestamppb.Timestamp
}

// since is a request for all from a time on that req asks for.
func since(req request, at time.Time) request {
	from := timestamppb.New(at)
	switch r := proto.Clone(req).(type) {
	case *observerpb.GetFlowsRequest:
		r.Number, r.Since = 0, from
		return r
	case *observerpb.GetAgentEventsRequest:
		r.Number, r.Since = 0, from
		return r
	case *observerpb.GetDebugEventsRequest:
		r.Number, r.Since = 0, from
		return r
	}
	return req
}

// GetFlows sends the flows of all nodes in the order of their times, and what becomes of
// the nodes.
func (s *Server) GetFlows(req *observerpb.GetFlowsRequest, stream grpc.ServerStreamingServer[observerpb.GetFlowsResponse]) error {
	wanted, err := wantedNodes(req)
	if err != nil {
		return err
	}
	return s.tell(&call{method: ask.Flows, req: req, stream: stream, wanted: wanted, states: true, metrics: s.c.Metrics})
}

// GetAgentEvents sends what happened to the agents of all nodes, in the order of time.
func (s *Server) GetAgentEvents(req *observerpb.GetAgentEventsRequest, stream grpc.ServerStreamingServer[observerpb.GetAgentEventsResponse]) error {
	return s.tell(&call{method: ask.AgentEvents, req: req, stream: stream})
}

// GetDebugEvents is the same of events for debugging, of which agents of ours have none.
func (s *Server) GetDebugEvents(req *observerpb.GetDebugEventsRequest, stream grpc.ServerStreamingServer[observerpb.GetDebugEventsResponse]) error {
	return s.tell(&call{method: ask.DebugEvents, req: req, stream: stream})
}

func (s *Server) tell(c *call) error {
	if c.req.GetFirst() && c.req.GetFollow() {
		return status.Error(codes.InvalidArgument, "first: true is not valid with follow: what comes last has no end")
	}
	return c.serve(s)
}
