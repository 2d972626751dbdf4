package ask

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/fovea-obs/fovea/internal/rpc"
	foveapb "github.com/fovea-obs/fovea/proto/v1"
	"github.com/fovea-obs/fovea/relay/merge"
	"github.com/fovea-obs/fovea/relay/peers"
)

// Silence is how long a node may say nothing at all before it is given up: one that
// tells batches has something to say all the time.
const Silence = 2 * time.Second

// ErrSilent is the end of a node that says nothing, ErrGarbage of one that says what
// nobody understands.
var (
	ErrSilent  = errors.New("it does not answer")
	ErrGarbage = errors.New("it does not speak as Hubble's servers do")
)

// Method is one of Hubble's calls that tell what happened over time. Their responses
// have the time in the same field.
type Method struct {
	// Plain is the gRPC method of Hubble's API, Batched that by which agents of ours
	// tell the same in batches; empty if there is none.
	Plain, Batched string
	// response returns an empty one.
	response func() response
}

// Flows are asked for by GetFlows, the others by the calls that are named so.
var (
	Flows       = Method{observerpb.Observer_GetFlows_FullMethodName, foveapb.Batches_GetFlows_FullMethodName, func() response { return &observerpb.GetFlowsResponse{} }}
	AgentEvents = Method{observerpb.Observer_GetAgentEvents_FullMethodName, "", func() response { return &observerpb.GetAgentEventsResponse{} }}
	DebugEvents = Method{observerpb.Observer_GetDebugEvents_FullMethodName, "", func() response { return &observerpb.GetDebugEventsResponse{} }}
)

// Request is that of a Method.
type Request interface {
	proto.Message
	GetFollow() bool
}

// Item is a response, and Batch some of them.
type (
	Item  = merge.Item[rpc.Piece]
	Batch = merge.Batch[rpc.Piece]
)

// Told is what a node tells at once.
type Told struct {
	Batch
	// Last is the time of the newest flow or event in it, 0 if there is none: other
	// responses have times of their own.
	Last int64
	// Batched tells that it came as a batch, and Bytes how many it took.
	Batched bool
	Bytes   int
}

// Ask asks a node and hands on what it tells until it has told all, ctx ends, or it
// fails, of which err tells. Put may take its time: the node waits then. No End is put. The
// first may be of nothing: the node has begun to answer.
func Ask(ctx context.Context, p *peers.Peer, m Method, req Request, put func(Told) error) error {
	some := checker{of: p, into: m.response()}
	if m.Batched != "" {
		err := stream(ctx, p, m.Batched, req, true, func() error { return nil }, func(p rpc.Piece) error {
			n := p.Len()
			batch, err := readBatch(p)
			if err != nil {
				return fmt.Errorf("%w: read a batch: %w", ErrGarbage, err)
			}
			for _, i := range batch.Items {
				if err := some.check(i.Message.Bytes()); err != nil {
					return fmt.Errorf("%w: read a response: %w", ErrGarbage, err)
				}
			}
			t := Told{Batch: batch, Batched: true, Bytes: n}
			if n := len(batch.Items); n > 0 {
				t.Last = batch.Items[n-1].Time
			}
			return put(t)
		})
		if status.Code(err) != codes.Unimplemented {
			return err
		}
	}
	last := int64(0)
	return stream(ctx, p, m.Plain, withTime(req), false, func() error { return put(Told{}) }, func(p rpc.Piece) error {
		at, happened, err := timeOf(p.Bytes())
		if err == nil {
			err = some.check(p.Bytes())
		}
		if err != nil {
			return fmt.Errorf("%w: read a response: %w", ErrGarbage, err)
		}
		if !happened {
			// A relay tells of its nodes as it learns of them: what it tells after that
			// is earlier.
			return put(Told{Batch: Batch{Items: []Item{{Time: last, Message: p}}}, Bytes: p.Len()})
		}
		last = max(last, at)
		return put(Told{Batch: Batch{Items: []Item{{Time: at, Message: p}}}, Last: at, Bytes: p.Len()})
	})
}

// withTime has the time told and the node's name, which Hubble's servers leave out if
// a mask does.
func withTime(req Request) Request {
	flows, ok := req.(*observerpb.GetFlowsRequest)
	if !ok || len(flows.GetFieldMask().GetPaths()) == 0 {
		return req
	}
	out := proto.CloneOf(flows)
	for _, p := range []string{"time", "node_name"} {
		if !slices.Contains(out.FieldMask.Paths, p) {
			out.FieldMask.Paths = append(out.FieldMask.Paths, p)
		}
	}
	return out
}

// stream calls a method and takes each message, from when it has begun. A stream that beats
// is never silent for long; of another that follows nobody knows.
func stream(
	ctx context.Context, p *peers.Peer, method string, req Request, beats bool, begun func() error, take func(rpc.Piece) error,
) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silent := time.AfterFunc(Silence, func() { cancel(ErrSilent) })
	defer silent.Stop()
	s, err := p.Conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, method,
		grpc.ForceCodecV2(p.Codec))
	if err == nil {
		err = s.SendMsg(req)
	}
	if err == nil {
		err = s.CloseSend()
	}
	if err == nil {
		// Servers tell their headers before anything else.
		var header metadata.MD
		if header, err = s.Header(); err == nil && header != nil {
			p.Heard(header)
			silent.Stop()
			err = begun()
		}
	}
	var m rpc.Raw
	defer m.Close()
	for err == nil {
		if !beats && req.GetFollow() {
			silent.Stop()
		} else {
			silent.Reset(Silence)
		}
		if err = s.RecvMsg(&m); err == nil {
			silent.Stop()
			err = take(m.Piece)
		}
	}
	switch {
	case errors.Is(context.Cause(ctx), ErrSilent):
		return ErrSilent
	case errors.Is(err, io.EOF):
		return nil
	}
	return err
}
