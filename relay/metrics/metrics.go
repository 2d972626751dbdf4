package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	grpcprom "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"
	"google.golang.org/grpc"

	"github.com/fovea-obs/fovea/relay/peers"
)

const (
	// maxConnections and maxScrapes bound what is served at a time.
	maxConnections, maxScrapes = 32, 4
	// requestTimeout is how long a request may take to be read, answerTimeout how long
	// it may take in all, and idleTimeout how long a connection is kept for the next.
	requestTimeout, answerTimeout, idleTimeout = 5 * time.Second, 30 * time.Second, 2 * time.Minute
	// stopTimeout is how long answers may take to end when the server stops.
	stopTimeout = 2 * time.Second
)

// Metrics are those of a relay. Its methods are safe for concurrent use.
type Metrics struct {
	// Flows is for who forwards them.
	Flows    *Flows
	calls    *grpcprom.ServerMetrics
	registry *prometheus.Registry
	log      *slog.Logger
}

// New returns the metrics of a relay that has some peers.
func New(p *peers.Peers, log *slog.Logger) (*Metrics, error) {
	m := &Metrics{
		Flows: newFlows(), calls: grpcprom.NewServerMetrics(grpcprom.WithServerHandlingTimeHistogram()),
		registry: prometheus.NewRegistry(), log: log,
	}
	var errs []error
	for _, c := range append(m.Flows.collectors(),
		newStates(p), m.calls, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	) {
		errs = append(errs, m.registry.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	return m, nil
}

// Unary counts calls.
func (m *Metrics) Unary() grpc.UnaryServerInterceptor { return m.calls.UnaryServerInterceptor() }

// Stream counts calls of streams, and not their messages.
func (m *Metrics) Stream() grpc.StreamServerInterceptor {
	count := m.calls.StreamServerInterceptor()
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		return count(srv, stream, info, func(srv any, _ grpc.ServerStream) error { return next(srv, stream) })
	}
}

// Serve answers GET /metrics over HTTP on the listener, which it closes, until ctx ends or
// the listener fails, and returns when all requests have ended: nil if ctx was the reason.
func (m *Metrics) Serve(ctx context.Context, l net.Listener) error {
	mux := http.NewServeMux()
	failures := slog.NewLogLogger(m.log.Handler(), slog.LevelWarn)
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog: failures, MaxRequestsInFlight: maxScrapes,
	}))
	server := &http.Server{
		Handler: mux, ErrorLog: failures,
		ReadTimeout: requestTimeout, WriteTimeout: answerTimeout, IdleTimeout: idleTimeout,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(netutil.LimitListener(l, maxConnections)) }()
	select {
	case err := <-served:
		return errors.Join(fmt.Errorf("serve metrics on %s: %w", l.Addr(), err), server.Close())
	case <-ctx.Done():
	}
	// Those who ask at this moment have a while to hear the answer.
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if server.Shutdown(stop) != nil {
		_ = server.Close()
	}
	<-served
	return nil
}
