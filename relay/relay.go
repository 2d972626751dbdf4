package relay

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/grpc/metadata"

	"github.com/fovea-obs/fovea/internal/certs"
	"github.com/fovea-obs/fovea/internal/nodename"
	"github.com/fovea-obs/fovea/internal/rpc"
	"github.com/fovea-obs/fovea/relay/metrics"
	"github.com/fovea-obs/fovea/relay/observer"
	"github.com/fovea-obs/fovea/relay/peers"
)

// Run serves until ctx ends, which is no error.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	toNodes, err := load(cfg.Client, cfg.DisableClientTLS, log, clientCert, clientKey, nodeCAs)
	if err != nil {
		return err
	}
	toClients, err := load(cfg.Server, cfg.DisableServerTLS, log, serverCert, serverKey, clientCA)
	if err != nil {
		return err
	}
	var connect peers.Credentials
	if toNodes != nil {
		connect = toNodes.Client
	}
	known := peers.New(connect, cfg.RetryTimeout)
	defer known.Close()
	follow, err := nodes(cfg, known, log)
	if err != nil {
		return err
	}
	rc := rpc.Config{Header: metadata.Pairs(rpc.RelayVersion, cfg.Version), Log: log}
	var counts *metrics.Metrics
	var flows *metrics.Flows
	if cfg.MetricsListenAddress != "" {
		if counts, err = metrics.New(known, log); err != nil {
			return err
		}
		flows = counts.Flows
		rc.Unary, rc.Stream = counts.Unary(), counts.Stream()
	}
	if toClients != nil {
		rc.TLS = toClients.Server()
	}
	server := rpc.New(rc)
	observerpb.RegisterObserverServer(server, observer.New(observer.Config{
		Peers: known, Name: nodename.Name(cfg.ClusterName, cfg.Name), Version: cfg.Version, Patience: cfg.SortBufferDrainTimeout, MaxWaiting: cfg.SortBufferLenMax,
		Retry: cfg.RetryTimeout, Log: log, Metrics: flows,
	}))
	health := rpc.New(rpc.Config{Evict: true, Log: log})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	tasks := []func() error{
		func() error { return server.ListenAndServe(ctx, cfg.ListenAddress) },
		func() error { return health.ListenAndServe(ctx, cfg.HealthListenAddress) },
	}
	if counts != nil {
		tasks = append(tasks, func() error {
			l, err := rpc.Listen(ctx, cfg.MetricsListenAddress)
			if err != nil {
				return err
			}
			log.Info("Serving", "address", l.Addr().String())
			return counts.Serve(ctx, l)
		})
	}
	if follow != nil {
		tasks = append(tasks, func() error { return follow(ctx) })
	}
	for _, store := range []*certs.Store{toNodes, toClients} {
		if store != nil {
			tasks = append(tasks, func() error { return store.Watch(ctx) })
		}
	}
	errs := make([]error, len(tasks))
	for i, run := range tasks {
		wg.Go(func() {
			defer cancel()
			errs[i] = run()
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// load returns the certificates of one side, nil if it has no TLS. The options name its
// files in errors.
func load(t TLS, disabled bool, log *slog.Logger, cert, key, authorities string) (*certs.Store, error) {
	if disabled {
		return nil, nil
	}
	c := certs.Config{Certificate: certs.File{Option: cert, Path: t.CertFile}, Key: certs.File{Option: key, Path: t.KeyFile}, Now: time.Now, Log: log}
	for _, path := range t.CAFiles {
		c.Authorities = append(c.Authorities, certs.File{Option: authorities, Path: path})
	}
	return certs.Load(c)
}
