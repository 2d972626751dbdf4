package observer

import (
	"context"
	"math"
	"strconv"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/fovea-obs/fovea/agent/history"
)

// flowStream is a call of GetFlows.
type flowStream struct {
	s       *Server
	reader  reader
	encoder *encoder
	stream  grpc.ServerStreamingServer[observerpb.GetFlowsResponse]
	follow  bool
	// left is how many flows may still be sent, sent how many were.
	left, sent uint64
}

// GetFlows sends the flows that a request asks for. See the package's
// documentation for how its fields work together.
func (s *Server) GetFlows(
	req *observerpb.GetFlowsRequest, stream grpc.ServerStreamingServer[observerpb.GetFlowsResponse],
) error {
	f, err := s.newFlowStream(req)
	if err != nil {
		return err
	}
	f.stream = stream
	begun := s.c.Now()
	err = f.run(stream.Context())
	s.c.Log.DebugContext(stream.Context(), "GetFlows ended",
		"flows", f.sent, "follow", f.follow, "took", s.c.Now().Sub(begun), "error", err)
	return err
}

func (s *Server) newFlowStream(req *observerpb.GetFlowsRequest) (*flowStream, error) {
	if req.GetFirst() && req.GetFollow() {
		return nil, status.Error(codes.InvalidArgument,
			"first: not valid with follow: the first flows are the oldest, and those to follow the newest")
	}
	for field, t := range map[string]*timestamppb.Timestamp{"since": req.GetSince(), "until": req.GetUntil()} {
		if t != nil && !t.IsValid() {
			return nil, invalid(field, strconv.FormatInt(t.GetSeconds(), 10)+" s", "a time in the years 1 to 9999")
		}
	}
	m, err := maskOf(req)
	if err != nil {
		return nil, err
	}
	p, err := newPlan(s, req.GetWhitelist(), req.GetBlacklist())
	if err != nil {
		return nil, err
	}
	f := &flowStream{s: s, encoder: newEncoder(s, m), follow: req.GetFollow(), left: math.MaxUint64}
	f.reader = reader{history: s.c.History, plan: p, since: math.MinInt64, until: math.MaxInt64}
	f.start(req)
	return f, nil
}

// start finds where the request begins and ends.
func (f *flowStream) start(req *observerpb.GetFlowsRequest) {
	r, number := &f.reader, req.GetNumber()
	if req.GetSince() != nil {
		r.since = nanoseconds(req.GetSince())
	}
	now := r.history.Next()
	if req.GetUntil() != nil {
		r.until = nanoseconds(req.GetUntil())
		now = min(now, seek(r.history, saturatingNext(r.until)))
	}
	r.end = now
	if f.follow {
		r.end = forever
	} else if number > 0 {
		f.left = number
	}
	switch {
	case req.GetSince() != nil:
		r.next = seek(r.history, r.since)
	case req.GetFirst(), number == 0 && !f.follow:
		r.next = r.history.Oldest()
	default:
		r.rewind(number, now)
	}
}

// nanoseconds since 1970, or the nearest number of them that there is.
func nanoseconds(t *timestamppb.Timestamp) int64 {
	switch lowest, highest := time.Unix(0, math.MinInt64), time.Unix(0, math.MaxInt64); {
	case t.AsTime().Before(lowest):
		return math.MinInt64
	case t.AsTime().After(highest):
		return math.MaxInt64
	}
	return t.AsTime().UnixNano()
}

func saturatingNext(t int64) int64 {
	if t == math.MaxInt64 {
		return t
	}
	return t + 1
}

func (f *flowStream) run(ctx context.Context) error {
	for f.left > 0 && !f.reader.exhausted() {
		if err := f.wait(ctx); err != nil {
			return status.FromContextError(err).Err()
		}
		if err := f.send(f.reader.read()); err != nil {
			return err
		}
	}
	return f.sendLost()
}

// wait returns when there is something to read.
func (f *flowStream) wait(ctx context.Context) error {
	for !f.reader.pending() {
		changed := f.reader.history.Changed()
		if f.reader.pending() {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
	return ctx.Err()
}

func (f *flowStream) send(rows []row) error {
	if f.reader.lostAt != 0 {
		if err := f.sendLost(); err != nil {
			return err
		}
	}
	for i := range rows {
		if f.left == 0 {
			break
		}
		if err := f.stream.Send(f.response(&rows[i])); err != nil {
			return err
		}
	}
	return nil
}

// response also counts the flows that are sent, but not the lost events.
func (f *flowStream) response(r *row) *observerpb.GetFlowsResponse {
	out := &observerpb.GetFlowsResponse{NodeName: f.s.name, Time: timestamp(r.Time)}
	if r.Kind == history.KindLost {
		out.ResponseTypes = &observerpb.GetFlowsResponse_LostEvents{LostEvents: &flowpb.LostEvent{
			Source:        flowpb.LostEventSource_PERF_EVENT_RING_BUFFER,
			NumEventsLost: r.Packets,
			Cpu:           wrapperspb.Int32(int32(r.CPU)),
		}}
		return out
	}
	f.left--
	f.sent++
	out.ResponseTypes = &observerpb.GetFlowsResponse_Flow{Flow: f.encoder.flow(r)}
	return out
}

// sendLost tells how many records were overwritten before they were read, if
// any.
func (f *flowStream) sendLost() error {
	r := &f.reader
	if r.lost == 0 {
		return nil
	}
	at := r.lostAt
	if at == 0 {
		at = f.s.c.Now().UnixNano()
	}
	lost := &flowpb.LostEvent{Source: flowpb.LostEventSource_HUBBLE_RING_BUFFER, NumEventsLost: r.lost}
	r.lost, r.lostAt = 0, 0
	return f.stream.Send(&observerpb.GetFlowsResponse{
		NodeName: f.s.name, Time: timestamp(at),
		ResponseTypes: &observerpb.GetFlowsResponse_LostEvents{LostEvents: lost},
	})
}
