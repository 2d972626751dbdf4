package agent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	peerpb "github.com/cilium/cilium/api/v1/peer"
	"google.golang.org/grpc/metadata"

	"github.com/fovea-obs/fovea/agent/cri"
	"github.com/fovea-obs/fovea/agent/datapath"
	"github.com/fovea-obs/fovea/agent/dns"
	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/event"
	"github.com/fovea-obs/fovea/agent/fate"
	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/agent/ingest"
	"github.com/fovea-obs/fovea/agent/kube"
	"github.com/fovea-obs/fovea/agent/mac"
	"github.com/fovea-obs/fovea/agent/memory"
	"github.com/fovea-obs/fovea/agent/observer"
	"github.com/fovea-obs/fovea/agent/peer"
	"github.com/fovea-obs/fovea/agent/policy"
	"github.com/fovea-obs/fovea/agent/service"
	"github.com/fovea-obs/fovea/agent/static"
	"github.com/fovea-obs/fovea/internal/certs"
	"github.com/fovea-obs/fovea/internal/kubeclient"
	"github.com/fovea-obs/fovea/internal/nodename"
	"github.com/fovea-obs/fovea/internal/rpc"
	foveapb "github.com/fovea-obs/fovea/proto/v1"
)

// Run observes and serves until ctx ends, which is no error. When it returns,
// nothing of the agent is left in the kernel.
func Run(ctx context.Context, cfg Config, log *slog.Logger) (err error) {
	if err := cfg.Validate(); err != nil {
		return err
	}
	hist, err := history.New(cfg.History)
	if err != nil {
		return err
	}
	events := event.NewLog(func() int64 { return time.Now().UnixNano() })
	events.Started()
	endpoints := endpoint.NewTable(cfg.ClusterName, events.Endpoint)
	services := service.NewTable(cfg.ClusterName, endpoints, events.Service)
	names, fates, macs := dns.NewTable(), fate.NewTable(), mac.NewTable()
	policies := policy.NewTable(endpoints)
	var source *static.Source
	if cfg.EndpointsFile != "" {
		source = static.New(static.Config{
			Path: cfg.EndpointsFile, Cluster: cfg.ClusterName, Node: cfg.NodeName,
			Endpoints: endpoints, Services: services, Names: names,
			Now: func() int64 { return time.Now().UnixNano() }, Log: log,
		})
		if err := source.Load(); err != nil {
			return fmt.Errorf("read endpoints: %w", err)
		}
	}

	certificates, err := loadCertificates(cfg, log)
	if err != nil {
		return err
	}
	nodes := peer.NewNodes(nodename.Name(cfg.ClusterName, cfg.NodeName), address(cfg), guessesAddress(cfg))
	runtime := followRuntime(cfg, endpoints, log)
	cluster, err := followKubernetes(cfg, kube.Config{
		Endpoints: endpoints, Services: services, Policies: policies, Peers: nodes, Events: events, Log: log,
	})
	if err != nil {
		return err
	}

	dp, err := datapath.Open(datapathConfig(cfg, endpoints, log))
	if err != nil {
		return fmt.Errorf("open the datapath: %w", err)
	}
	defer func() { err = errors.Join(err, dp.Close()) }()

	listeners, err := listen(ctx, cfg, log)
	if err != nil {
		return err
	}
	obs := observer.New(observer.Config{
		History: hist, Endpoints: endpoints, Services: services, Names: names, Fates: fates, MACs: macs,
		Policies: policies, Events: events,
		NodeName: cfg.NodeName, Cluster: cfg.ClusterName, Version: cfg.Version, Address: address(cfg), TLS: cfg.servesTLS(),
		Instance: instance(), Started: time.Now(),
		InterfaceName: dp.InterfaceName, ReasonName: dp.ReasonName, Symbol: dp.Symbol,
		Degraded: func() []string {
			missing := dp.Degraded()
			if cluster != nil {
				missing = append(missing, cluster.Degraded()...)
			}
			if runtime != nil {
				missing = append(missing, runtime.Degraded()...)
			}
			return missing
		},
		Peers: nodes, Log: log,
	})
	rc := rpc.Config{Header: metadata.Pairs(rpc.ServerVersion, cfg.Version), Log: log}
	if certificates != nil {
		rc.TLS = certificates.Server()
	}
	server := rpc.New(rc)
	observerpb.RegisterObserverServer(server, obs)
	foveapb.RegisterBatchesServer(server, obs.Batches())
	peerpb.RegisterPeerServer(server, peer.New(peer.Config{
		NodeName: cfg.NodeName, Cluster: cfg.ClusterName, Nodes: nodes, TLS: cfg.servesTLS(),
	}))

	tasks := []func(context.Context) error{
		func(ctx context.Context) error {
			// Clients wait until there is something to see.
			select {
			case <-dp.Ready():
				// Starting took several times the memory that running does.
				memory.Release(log)
			case <-ctx.Done():
			}
			return server.Serve(ctx, listeners...)
		},
		obs.Run,
		func(ctx context.Context) error {
			return dp.Run(ctx, &ingest.Ingest{
				History: hist, Endpoints: endpoints, Services: services, Names: names, Fates: fates, MACs: macs,
				Policies: policies, MayBePolicy: dp.MayBePolicy, IsTableFull: dp.IsTableFull, Logged: dp.Logged,
				Translate: dp.Translate,
			})
		},
	}
	if cfg.HealthListenAddress != "" {
		health := rpc.New(rpc.Config{Ready: dp.Ready(), Evict: true, Log: log})
		tasks = append(tasks, func(ctx context.Context) error {
			return health.ListenAndServe(ctx, cfg.HealthListenAddress)
		})
	}
	if source != nil {
		tasks = append(tasks, source.Watch)
	}
	if certificates != nil {
		tasks = append(tasks, certificates.Watch)
	}
	if runtime != nil {
		tasks = append(tasks, runtime.Run)
	}
	if cluster != nil {
		tasks = append(tasks, cluster.Run, func(ctx context.Context) error {
			select {
			case <-cluster.Synced():
				// So did the first list.
				memory.Release(log)
				<-ctx.Done()
			case <-ctx.Done():
			}
			return nil
		})
	}
	return runAll(ctx, tasks)
}

// runAll runs all tasks until ctx ends or one of them does, ends the others and
// waits for them.
func runAll(ctx context.Context, tasks []func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	errs := make([]error, len(tasks))
	for i, task := range tasks {
		wg.Go(func() {
			defer cancel()
			errs[i] = task(ctx)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func datapathConfig(cfg Config, endpoints *endpoint.Table, log *slog.Logger) datapath.Config {
	dc := datapath.Config{
		Attach:      datapath.Attach(cfg.Attach),
		Aggregate:   cfg.Aggregation == AggregateConnection,
		Interval:    cfg.AggregationInterval,
		Overlay:     cfg.Overlay,
		LogGroup:    uint16(cfg.NFLOGGroup),
		Connections: cfg.Connections,
		RingSize:    int(cfg.RingSize),
		Interfaces:  endpoints,
		Log:         log,
	}
	dc.Include, dc.Exclude = split(cfg.Interfaces)
	dc.TellReasons, dc.IgnoreReasons = split(cfg.DropReasons)
	return dc
}

// split tells those of a list that have a ! or - before them from the others.
func split(list []string) (in, out []string) {
	for _, p := range list {
		if name := strings.TrimLeft(p, "!-"); name != p {
			out = append(out, name)
		} else {
			in = append(in, p)
		}
	}
	return in, out
}

// instance is random for each start of an agent.
func instance() (id [8]byte) {
	// It never fails: see crypto/rand.
	_, _ = rand.Read(id[:])
	return id
}

// loadCertificates returns those that TCP is served with, nil if it is not served
// with TLS.
func loadCertificates(cfg Config, log *slog.Logger) (*certs.Store, error) {
	if !cfg.servesTLS() {
		return nil, nil
	}
	c := certs.Config{
		Certificate: certs.File{Option: tlsCertFile, Path: cfg.TLSCertFile},
		Key:         certs.File{Option: tlsKeyFile, Path: cfg.TLSKeyFile},
		Now:         time.Now, Log: log,
	}
	for _, path := range cfg.TLSClientCAFiles {
		c.Authorities = append(c.Authorities, certs.File{Option: tlsClientCAFiles, Path: path})
	}
	return certs.Load(c)
}

// listen opens what the agent serves on. TCP is served in plaintext only where
// that was asked for.
func listen(ctx context.Context, cfg Config, log *slog.Logger) (_ []net.Listener, err error) {
	var addresses []string
	if cfg.SocketPath != "" {
		addresses = append(addresses, "unix://"+cfg.SocketPath)
	}
	if cfg.servesTCP() {
		addresses = append(addresses, cfg.ListenAddress)
	} else if cfg.ListenAddress != "" {
		log.Warn("Not served over TCP: neither --tls-cert-file nor --disable-server-tls was given",
			"address", cfg.ListenAddress)
	}
	var listeners []net.Listener
	for _, a := range addresses {
		l, err := rpc.Listen(ctx, a)
		if err != nil {
			for _, l := range listeners {
				l.Close()
			}
			return nil, err
		}
		log.Info("Serving", "address", a)
		listeners = append(listeners, l)
	}
	return listeners, nil
}

// awaitNames is how long after a pod's first packet it may be heard of: kubelets
// look for what is new once a second, and tell the API in their turn.
const awaitNames = 5 * time.Second

// followKubernetes returns a source for the cluster's API, nil if none is to be
// asked. C lacks what cfg says.
func followKubernetes(cfg Config, c kube.Config) (*kube.Source, error) {
	if !cfg.followsKubernetes(kubeclient.InCluster()) {
		return nil, nil
	}
	c.Kubeconfig, c.Cluster, c.Node = cfg.Kubeconfig, cfg.ClusterName, cfg.NodeName
	c.Port = strconv.Itoa(nodename.DefaultPort)
	if _, port, err := net.SplitHostPort(cfg.ListenAddress); err == nil {
		c.Port = port
	}
	c.Now = func() int64 { return time.Now().UnixNano() }
	source, err := kube.New(c)
	if err != nil {
		return nil, fmt.Errorf("find Kubernetes: %w", err)
	}
	c.Endpoints.Await(awaitNames)
	c.Endpoints.AwaitList()
	return source, nil
}

// followRuntime returns a source for the node's container runtime, nil if none is
// to be asked.
func followRuntime(cfg Config, endpoints *endpoint.Table, log *slog.Logger) *cri.Source {
	if cfg.CRISocket == "" {
		return nil
	}
	endpoints.Await(awaitNames)
	return cri.New(cri.Config{
		Socket: cfg.CRISocket, Cluster: cfg.ClusterName, Endpoints: endpoints,
		Now: func() int64 { return time.Now().UnixNano() }, Log: log,
	})
}

// address is where others reach the agent.
func address(cfg Config) string {
	if !cfg.servesTCP() {
		return "unix://" + cfg.SocketPath
	}
	host, port, err := net.SplitHostPort(cfg.ListenAddress)
	if err != nil || host != "" {
		return cfg.ListenAddress
	}
	return net.JoinHostPort(nodeAddress(), port)
}

// guessesAddress tells whether address does.
func guessesAddress(cfg Config) bool {
	host, _, err := net.SplitHostPort(cfg.ListenAddress)
	return cfg.servesTCP() && err == nil && host == ""
}

// nodeAddress is the first address of this node that is not for itself alone.
func nodeAddress() string {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return "localhost"
	}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().IsGlobalUnicast() {
			return p.Addr().String()
		}
	}
	return "localhost"
}
