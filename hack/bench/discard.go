package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
)

// discard is the server's side of a call of GetFlows that goes nowhere.
type discard struct {
	ctx  context.Context
	sent uint64
}

var _ grpc.ServerStreamingServer[observerpb.GetFlowsResponse] = (*discard)(nil)

func newDiscard(ctx context.Context) *discard { return &discard{ctx: ctx} }

func (d *discard) Context() context.Context                { return d.ctx }
func (d *discard) Send(*observerpb.GetFlowsResponse) error { d.sent++; return nil }
func (d *discard) SendMsg(any) error                       { d.sent++; return nil }
func (d *discard) RecvMsg(any) error                       { return io.EOF }
func (d *discard) SetHeader(metadata.MD) error             { return nil }
func (d *discard) SendHeader(metadata.MD) error            { return nil }
func (d *discard) SetTrailer(metadata.MD)                  {}

// countBytes is a codec for a client that does not look at what it gets. It
// costs the same whoever the server is.
type countBytes struct{ encoding.CodecV2 }

func newCountBytes() countBytes { return countBytes{encoding.GetCodecV2(proto.Name)} }

func (countBytes) Unmarshal(data mem.BufferSlice, v any) error {
	n, ok := v.(*uint64)
	if !ok {
		return fmt.Errorf("no counter: %T", v)
	}
	*n += uint64(data.Len())
	return nil
}

// receive asks a server for flows and returns how many messages came.
func receive(ctx context.Context, conn *grpc.ClientConn, req *observerpb.GetFlowsRequest) (uint64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true},
		observerpb.Observer_GetFlows_FullMethodName, grpc.ForceCodecV2(newCountBytes()))
	if err != nil {
		return 0, fmt.Errorf("ask for flows: %w", err)
	}
	if err := errors.Join(stream.SendMsg(req), stream.CloseSend()); err != nil {
		return 0, fmt.Errorf("ask for flows: %w", err)
	}
	var messages, bytes uint64
	for {
		if err := stream.RecvMsg(&bytes); errors.Is(err, io.EOF) {
			return messages, nil
		} else if err != nil {
			return 0, fmt.Errorf("receive flows: %w", err)
		}
		messages++
	}
}
