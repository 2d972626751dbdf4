package rpc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
)

const (
	// ObserverHealth is the name under which Hubble's clients ask the health
	// service for an observer: not that of the gRPC service.
	ObserverHealth = "hubble.server.Observer"
	// ServerVersion is the header in which Hubble's agents tell their version,
	// as a semantic version without a leading v.
	ServerVersion = "hubble-server-version"
	// RelayVersion is that in which Hubble's relays tell theirs.
	RelayVersion = "hubble-relay-version"
)

const (
	// minPing is how often a client may ask whether the server is there.
	minPing = 5 * time.Second
	// idlePing is the silence after which the server asks the same of a client,
	// and pingTimeout how long it waits for the answer.
	idlePing, pingTimeout = 30 * time.Second, 10 * time.Second

	// writeBuffer is how much a connection writes at once: all that a stream may
	// have waiting, and as much again. gRPC shares these buffers between
	// connections: one with nothing to write holds none.
	writeBuffer = 128 << 10

	defaultStopTimeout = 5 * time.Second
)

// Config says what a Server is like. Its zero value is usable.
type Config struct {
	// Header is sent with every response.
	Header metadata.MD
	// TLS is what TCP is served with; in plaintext if it is nil, as unix sockets
	// are in any case.
	TLS credentials.TransportCredentials
	// StopTimeout is how long calls may take to end when Serve's context
	// has; 5 s if 0.
	StopTimeout time.Duration
	// MaxStreams bounds the streams at a time, of all clients together, and
	// MaxConnections the connections of each listener. What is more is refused.
	// They are 256 and 128 if 0.
	MaxStreams, MaxConnections int
	// Evict has a connection that is one too many take the place of the oldest, instead
	// of being refused: so that nobody can hold all of those that probes need.
	Evict bool
	// Unary and Stream, where they are not nil, are around all calls, also those that
	// are refused.
	Unary  grpc.UnaryServerInterceptor
	Stream grpc.StreamServerInterceptor
	// Ready, where it is not nil, is closed once there is something to serve: until then
	// the health service says NOT_SERVING.
	Ready <-chan struct{}
	// Log gets the panics of handlers, and what was refused; nothing is logged
	// if it is nil.
	Log *slog.Logger
}

// Server is a gRPC server with what Hubble's clients expect of one.
type Server struct {
	grpc    *grpc.Server
	health  *health.Server
	ready   <-chan struct{}
	log     *slog.Logger
	timeout time.Duration
	// streams holds one for each stream that is open.
	streams     chan struct{}
	connections int
	evict       bool
	complain    *complaints
	// stopping ends when Serve's context does, and all streams with it.
	stopping context.Context
	stop     context.CancelFunc
}

// New returns a server on which services can be registered, until Serve.
func New(c Config) *Server {
	s := &Server{
		log: c.Log, timeout: c.StopTimeout, health: health.NewServer(), ready: c.Ready,
		streams:     make(chan struct{}, cmp.Or(c.MaxStreams, defaultStreams)),
		connections: cmp.Or(c.MaxConnections, defaultConnections), evict: c.Evict,
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.complain = &complaints{to: s.log}
	if s.timeout == 0 {
		s.timeout = defaultStopTimeout
	}
	s.stopping, s.stop = context.WithCancel(context.Background())
	s.grpc = grpc.NewServer(s.options(c)...)
	grpc_health_v1.RegisterHealthServer(s.grpc, s.health)
	if s.ready == nil {
		s.setHealth(grpc_health_v1.HealthCheckResponse_SERVING)
	} else {
		s.setHealth(grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	}
	reflection.Register(s.grpc)
	return s
}

func (s *Server) options(c Config) []grpc.ServerOption {
	recoverUnary, recoverStream := s.recovery()
	options := limits()
	if c.TLS != nil {
		options = append(options, grpc.Creds(&transport{c.TLS, &complaints{to: s.log}}))
	}
	// The first is around the others.
	if c.Unary != nil {
		options = append(options, grpc.ChainUnaryInterceptor(c.Unary))
	}
	if c.Stream != nil {
		options = append(options, grpc.ChainStreamInterceptor(c.Stream))
	}
	return append(options,
		grpc.ForceServerCodecV2(newCodec()),
		grpc.WriteBufferSize(writeBuffer),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			MinTime: minPing, PermitWithoutStream: true,
		}),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			Time: idlePing, Timeout: pingTimeout,
		}),
		grpc.ChainUnaryInterceptor(unaryHeader(c.Header), recoverUnary),
		grpc.ChainStreamInterceptor(s.limitStreams, streamHeader(c.Header), s.endStreams, recoverStream),
	)
}

// RegisterService makes the Server a [grpc.ServiceRegistrar].
func (s *Server) RegisterService(d *grpc.ServiceDesc, impl any) { s.grpc.RegisterService(d, impl) }

// setHealth has the health service say so of the server and of its observer. Once the
// server stops it has no effect.
func (s *Server) setHealth(status grpc_health_v1.HealthCheckResponse_ServingStatus) {
	for _, service := range []string{"", ObserverHealth} {
		s.health.SetServingStatus(service, status)
	}
}

// ListenAndServe is [Server.Serve] on an address, as of [Listen].
func (s *Server) ListenAndServe(ctx context.Context, address string) error {
	l, err := Listen(ctx, address)
	if err != nil {
		return err
	}
	s.log.Info("Serving", "address", l.Addr().String())
	return s.Serve(ctx, l)
}

// Serve serves on the listeners, which it closes, until ctx ends or one of
// them fails. It then ends all streams, gives calls the time of
// [Config].StopTimeout, and returns when all have ended: nil if ctx was the
// reason. It may be called once.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	defer s.stop()
	failed := make(chan error, len(listeners))
	var serving sync.WaitGroup
	for _, l := range listeners {
		serving.Go(func() {
			if err := s.grpc.Serve(s.limited(l)); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
				failed <- fmt.Errorf("serve on %s: %w", l.Addr(), err)
			}
		})
	}
	var err error
	ready := s.ready
	for serves := true; serves; {
		select {
		case <-ready:
			s.setHealth(grpc_health_v1.HealthCheckResponse_SERVING)
			ready = nil
		case <-ctx.Done():
			serves = false
		case err = <-failed:
			serves = false
		}
	}
	s.shutdown()
	serving.Wait()
	return err
}

func (s *Server) shutdown() {
	s.health.Shutdown()
	s.stop()
	force := time.AfterFunc(s.timeout, s.grpc.Stop)
	defer force.Stop()
	s.grpc.GracefulStop()
}
