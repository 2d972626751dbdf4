package rpc

import (
	"context"
	"runtime/debug"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// recovery ends the call of a handler that panics, with the code Internal.
func (s *Server) recovery() (grpc.UnaryServerInterceptor, grpc.StreamServerInterceptor) {
	handle := recovery.WithRecoveryHandlerContext(func(ctx context.Context, p any) error {
		method, _ := grpc.Method(ctx)
		s.log.ErrorContext(ctx, "Panic in a call", "method", method, "panic", p, "stack", string(debug.Stack()))
		return status.Error(codes.Internal, "internal error: the server's log has the details")
	})
	return recovery.UnaryServerInterceptor(handle), recovery.StreamServerInterceptor(handle)
}

func unaryHeader(header metadata.MD) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		if err := grpc.SetHeader(ctx, header); err != nil {
			return nil, err
		}
		return next(ctx, req)
	}
}

// streamHeader sends the header at once, so that a client of a stream with
// nothing to tell yet knows that it is served.
func streamHeader(header metadata.MD) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		if err := stream.SendHeader(header); err != nil {
			return err
		}
		return next(srv, stream)
	}
}

// endStreams ends the context of streams when the server stops, and tells
// their clients so.
func (s *Server) endStreams(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	defer context.AfterFunc(s.stopping, cancel)()
	err := next(srv, endingStream{stream, ctx})
	if err != nil && s.stopping.Err() != nil {
		return status.Error(codes.Unavailable, "the server is stopping")
	}
	return err
}

type endingStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s endingStream) Context() context.Context { return s.ctx }
