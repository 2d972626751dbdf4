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
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/fovea-obs/fovea/internal/rpc"
	foveapb "github.com/fovea-obs/fovea/proto/v1"
	"github.com/fovea-obs/fovea/relay/merge"
)

// Silence is how long a node may say nothing at all before it is given up: one that
// tells batches has something to say all the time.
const Silence = 2 * time.Second

// ErrSilent is the end of a node that says nothing.
var ErrSilent = errors.New("it does not answer")

// Flows asks a node for flows and hands on what it tells until it has told all, ctx
// ends, or it fails, of which err tells. The connection's codec is a [rpc.RawCodec]. Put may take its time: the node waits then.
// No End is put.
func Flows(ctx context.Context, conn grpc.ClientConnInterface, req *observerpb.GetFlowsRequest, put func(merge.Batch) error) error {
	err := stream(ctx, conn, foveapb.Batches_GetFlows_FullMethodName, req, true, func(m *rpc.Raw) error {
		batch, err := readBatch(m.Bytes)
		if err != nil {
			return fmt.Errorf("read a batch: %w", err)
		}
		batch.Release = m.Release()
		return put(batch)
	})
	if status.Code(err) != codes.Unimplemented {
		return err
	}
	return single(ctx, conn, withTime(req), put)
}

// single asks a node that tells one flow a message.
func single(ctx context.Context, conn grpc.ClientConnInterface, req *observerpb.GetFlowsRequest, put func(merge.Batch) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	g, putting := newGather(put), make(chan error, 1)
	go func() {
		err := g.run(ctx)
		if err != nil {
			cancel(err)
		}
		putting <- err
	}()
	err := stream(ctx, conn, observerpb.Observer_GetFlows_FullMethodName, req, false, func(m *rpc.Raw) error {
		at, err := timeOf(m.Bytes)
		if err != nil {
			return fmt.Errorf("read a response: %w", err)
		}
		return g.add(ctx, merge.Item{Time: at, Message: m.Bytes})
	})
	g.close()
	if failed := <-putting; failed != nil {
		return failed
	}
	return err
}

// withTime has the time told and the node's name, which Hubble's servers leave out if
// a mask does.
func withTime(req *observerpb.GetFlowsRequest) *observerpb.GetFlowsRequest {
	paths := req.GetFieldMask().GetPaths()
	if len(paths) == 0 {
		return req
	}
	out := proto.CloneOf(req)
	for _, p := range []string{"time", "node_name"} {
		if !slices.Contains(paths, p) {
			out.FieldMask.Paths = append(out.FieldMask.Paths, p)
		}
	}
	return out
}

// stream calls a method and takes each message. A stream that beats is never silent
// for long; of another that follows nobody knows.
func stream(
	ctx context.Context, conn grpc.ClientConnInterface, method string, req *observerpb.GetFlowsRequest, beats bool,
	take func(*rpc.Raw) error,
) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silent := time.AfterFunc(Silence, func() { cancel(ErrSilent) })
	defer silent.Stop()
	s, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, method)
	if err == nil {
		err = s.SendMsg(req)
	}
	if err == nil {
		err = s.CloseSend()
	}
	if err == nil {
		// Servers tell their headers before anything else.
		_, err = s.Header()
	}
	var m rpc.Raw
	for err == nil {
		if !beats && req.GetFollow() {
			silent.Stop()
		} else {
			silent.Reset(Silence)
		}
		if err = s.RecvMsg(&m); err == nil {
			silent.Stop()
			err = take(&m)
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
