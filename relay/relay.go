package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/grpc/metadata"

	"github.com/fovea-obs/fovea/internal/rpc"
	"github.com/fovea-obs/fovea/relay/observer"
	"github.com/fovea-obs/fovea/relay/peers"
)

// relayVersion is the header in which Hubble's relays tell their version.
const relayVersion = "hubble-relay-version"

// Run serves until ctx ends, which is no error.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	known := peers.New()
	defer known.Close()
	if len(cfg.Peers) > 0 {
		if err := known.Set(static(cfg.Peers)); err != nil {
			return fmt.Errorf("peers: %w", err)
		}
	}
	server := rpc.New(rpc.Config{Header: metadata.Pairs(relayVersion, cfg.Version), Log: log})
	observerpb.RegisterObserverServer(server, observer.New(observer.Config{
		Peers: known, Name: cfg.Name, Version: cfg.Version, Patience: cfg.SortBufferDrainTimeout, Log: log,
	}))
	health := rpc.New(rpc.Config{Log: log})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	errs := make([]error, 3)
	task := func(i int, run func() error) {
		wg.Go(func() {
			defer cancel()
			errs[i] = run()
		})
	}
	task(0, func() error { return serve(ctx, server, cfg.ListenAddress, log) })
	task(1, func() error { return serve(ctx, health, cfg.HealthListenAddress, log) })
	if cfg.PeerService != "" && len(cfg.Peers) == 0 {
		task(2, func() error { return peers.Follow(ctx, known, cfg.PeerService, log) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func serve(ctx context.Context, s *rpc.Server, address string, log *slog.Logger) error {
	l, err := rpc.Listen(ctx, address)
	if err != nil {
		return err
	}
	log.Info("Serving", "address", l.Addr().String())
	return s.Serve(ctx, l)
}

// static are the nodes of a list of name=address.
func static(list []string) (nodes []peers.Node) {
	for _, p := range list {
		name, address, _ := strings.Cut(p, "=")
		nodes = append(nodes, peers.Node{Name: name, Address: address})
	}
	return nodes
}
