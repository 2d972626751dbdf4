package observer

import (
	"context"
	"math"
	"runtime"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/agent/observer/encode"
	"github.com/fovea-obs/fovea/internal/rpc"
)

// batchBytes is how much is encoded while a chunk is held, and so what a stream
// needs of memory, more or less: what is sent waits in gRPC's buffers, which the
// client's flow control bounds. It is a little less than the 64 KiB of a stream that
// gRPC takes before SendMsg waits.
const batchBytes = 60 << 10

// flowStream is a call of GetFlows.
type flowStream struct {
	s       *Server
	reader  reader
	encoder *encode.Encoder
	to      sender
	// beats is to, if that wants to know how far the time has come; else nil.
	beats  *batchSender
	follow bool
	// touched is of no use, but the compiler does not know.
	touched uint64
	// left is how many flows may still be sent, sent how many were.
	left, sent uint64
	// batch is messages, ends where each of them does, and times theirs.
	batch []byte
	ends  []int
	times []int64
}

// sender sends responses, which end where ends says and are of these times.
type sender interface {
	send(responses []byte, ends []int, times []int64) error
}

// plainSender sends each response as a message.
type plainSender struct {
	stream  grpc.ServerStream
	message rpc.Wire
}

func (p *plainSender) send(responses []byte, ends []int, _ []int64) error {
	begin := 0
	for _, end := range ends {
		p.message.Bytes = responses[begin:end]
		if err := p.stream.SendMsg(&p.message); err != nil {
			return err
		}
		begin = end
	}
	return nil
}

// GetFlows sends the flows that a request asks for. See the package's
// documentation for how its fields work together.
func (s *Server) GetFlows(
	req *observerpb.GetFlowsRequest, stream grpc.ServerStreamingServer[observerpb.GetFlowsResponse],
) error {
	f, err := s.newFlowStream(stream.Context(), req)
	if err != nil {
		return err
	}
	f.to = &plainSender{stream: stream}
	return s.serveFlows(stream.Context(), f)
}

func (s *Server) serveFlows(ctx context.Context, f *flowStream) error {
	begun := s.c.Now()
	err := f.run(ctx)
	s.c.Log.DebugContext(ctx, "GetFlows ended",
		"flows", f.sent, "follow", f.follow, "took", s.c.Now().Sub(begun), "error", err)
	return err
}

func (s *Server) newFlowStream(ctx context.Context, req *observerpb.GetFlowsRequest) (*flowStream, error) {
	if err := check(req); err != nil {
		return nil, err
	}
	m, err := encode.MaskOf(req)
	if err != nil {
		return nil, err
	}
	p, err := s.compiler.Compile(req.GetWhitelist(), req.GetBlacklist())
	if err != nil {
		return nil, err
	}
	f := &flowStream{s: s, encoder: s.encoders.New(m), follow: req.GetFollow(), left: math.MaxUint64}
	f.reader = reader{history: s.c.History, plan: p, gate: s.gate, since: math.MinInt64, until: math.MaxInt64}
	if err := f.start(ctx, req); err != nil {
		return nil, status.FromContextError(err).Err()
	}
	return f, nil
}

// start finds where the request begins and ends.
func (f *flowStream) start(ctx context.Context, req *observerpb.GetFlowsRequest) error {
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
		r.waiting = func() int64 { return f.s.c.Endpoints.Waiting(f.s.c.Now().UnixNano()) }
	} else if number > 0 {
		f.left = number
	}
	switch {
	case req.GetSince() != nil:
		r.next = seek(r.history, r.since)
	case req.GetFirst(), number == 0 && !f.follow:
		r.next = r.history.Oldest()
	default:
		return r.rewind(ctx, number, now)
	}
	return nil
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
		f.batch, f.ends, f.times = f.batch[:0], f.ends[:0], f.times[:0]
		if err := f.reader.read(ctx, f); err != nil {
			return status.FromContextError(err).Err()
		}
		if err := f.send(); err != nil {
			return err
		}
	}
	return f.sendLost()
}

func (f *flowStream) renew() { f.encoder.Renew() }

// take also counts the flows, but not the lost events.
func (f *flowStream) take(c *history.Columns, row int, sequence uint64) bool {
	f.touched ^= c.Touch(row)
	if c.Kind[row] == history.KindLost {
		f.batch = f.encoder.Lost(f.batch, flowpb.LostEventSource_PERF_EVENT_RING_BUFFER,
			uint64(c.Packets[row]), int(c.Interface[row]), c.Time[row])
	} else {
		f.left--
		f.sent++
		f.batch = f.encoder.Flow(f.batch, c, row, sequence)
	}
	f.ends = append(f.ends, len(f.batch))
	if f.beats != nil {
		f.times = append(f.times, c.Time[row])
	}
	return f.left > 0 && len(f.batch) < batchBytes
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
		case <-f.beats.due():
			if err := f.beat(); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// beat tells up to which time there is nothing more to come.
func (f *flowStream) beat() error {
	mark := f.s.c.Now().Add(-settled).UnixNano()
	if at, ok := timeOf(f.reader.history, f.reader.next); ok {
		mark = min(mark, at-1)
	}
	return f.beats.beat(mark)
}

// send sends the batch, and before it what was lost before it.
func (f *flowStream) send() error {
	if f.reader.lostAt != 0 {
		if err := f.sendLost(); err != nil {
			return err
		}
	}
	if len(f.ends) > 0 {
		if err := f.to.send(f.batch, f.ends, f.times); err != nil {
			return err
		}
	} else if f.beats.isDue() {
		if err := f.beat(); err != nil {
			return err
		}
	}
	if len(f.batch) >= batchBytes {
		// There is more. gRPC's writer first takes this from the processor's
		// cache: it would have another processor wake up and fetch it.
		runtime.Gosched()
	}
	return nil
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
	lost := f.encoder.Lost(nil, flowpb.LostEventSource_HUBBLE_RING_BUFFER, r.lost, -1, at)
	r.lost, r.lostAt = 0, 0
	return f.to.send(lost, []int{len(lost)}, []int64{at})
}
