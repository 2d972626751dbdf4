// Command fovea observes the flows of a node and serves them as Hubble does.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fovea-obs/fovea/internal/config"
	"github.com/fovea-obs/fovea/internal/version"
	"github.com/fovea-obs/fovea/relay"
)

// release is set by the linker: -ldflags '-X main.release=v0.1.0'.
var release string

func main() {
	// The first signal ends an agent or a relay in good order, a second one at once. Windows
	// has them too: Ctrl+C, and the end of a console.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "fovea:", strings.ReplaceAll(err.Error(), "\n", "\nfovea: "))
		os.Exit(1)
	}
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:               "fovea",
		Short:             "See the flows of a cluster whose dataplane is not Cilium, with Hubble's own tools",
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetFlagErrorFunc(config.FlagError)
	root.AddCommand(agentCommand(), relayCommand(), versionCommand())
	return root
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version, the commit and the platform",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), describe())
			return err
		},
	}
}

func describe() version.Info {
	info, _ := debug.ReadBuildInfo()
	return version.Describe(release, info)
}

func relayCommand() *cobra.Command {
	cfg := relay.DefaultConfig(nodeName())
	cfg.Version = describe().Version
	log := logging{level: "info", format: "text"}
	cmd := &cobra.Command{
		Use:   "relay",
		Short: "Serve the flows of all nodes",
		Long: "Ask the agents of all nodes and serve their flows in one order, until SIGINT or SIGTERM.\n\n" +
			"Options may also be given as environment variables and in a file, as for the agent.",
		Args: cobra.NoArgs,
		RunE: withSettings(func(cmd *cobra.Command) error {
			return relay.Run(cmd.Context(), cfg, log.logger(cmd.ErrOrStderr()))
		}),
	}
	relayFlags(cmd.Flags(), &cfg, &log)
	return cmd
}

// withSettings takes a command's settings from where they are given, and says of a
// mistake that run finds in one where that was.
func withSettings(run func(*cobra.Command) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		sources, err := config.Resolve(cmd.Flags(), os.Environ())
		if err != nil {
			return err
		}
		return sources.Trace(run(cmd))
	}
}

func relayFlags(flags *pflag.FlagSet, cfg *relay.Config, log *logging) {
	flags.SortFlags = false
	flags.String("config", "", "YAML file with settings, named as these options")
	flags.StringVar(&cfg.Name, "name", cfg.Name, "what the relay calls itself; by default $NODE_NAME, or else the host's name")
	flags.StringVar(&cfg.ListenAddress, "listen-address", cfg.ListenAddress, "address to serve on")
	flags.StringVar(&cfg.HealthListenAddress, "health-listen-address", cfg.HealthListenAddress, "address to serve the health service on")
	flags.StringVar(&cfg.MetricsListenAddress, "metrics-listen-address", "", "address to serve metrics on, over HTTP at /metrics, such as :9966; empty for none")
	flags.StringVar(&cfg.PeerService, "peer-service", cfg.PeerService, "address of a Peer service, which tells the nodes")
	flags.Var(config.List(&cfg.Peers), "peers", "the nodes, as name=host:port, in the place of a Peer service")
	flags.StringVar(&cfg.PeerEndpoints, "peer-endpoints", "", "Service of Kubernetes whose endpoints the nodes' agents are, as namespace/service, in the place of a Peer service")
	flags.StringVar(&cfg.Kubeconfig, "kubeconfig", "", "file that says how to reach the cluster's API for that; by default the pod's service account")
	flags.StringVar(&cfg.ClusterName, "cluster-name", cfg.ClusterName, "name of the cluster: part of what the relay is called, and the nodes that are found so")
	flags.Var(config.Duration(&cfg.SortBufferDrainTimeout), "sort-buffer-drain-timeout", "how long a flow waits at most, while requests follow, for nodes that do not tell how far they have come")
	flags.Var(config.Count(&cfg.SortBufferLenMax), "sort-buffer-len-max", "how many flows of a request wait so at most")
	flags.Var(config.Duration(&cfg.RetryTimeout), "retry-timeout", "how long it takes at most until a node that is away is tried again")
	config.Switch(flags, &cfg.DisableClientTLS, "disable-client-tls", "ask the nodes in plaintext")
	config.Switch(flags, &cfg.DisableServerTLS, "disable-server-tls", "serve in plaintext")
	flags.StringVar(&cfg.Client.CertFile, "tls-hubble-client-cert-file", "", "certificate that nodes are shown; none if empty")
	flags.StringVar(&cfg.Client.KeyFile, "tls-hubble-client-key-file", "", "its key")
	flags.Var(config.List(&cfg.Client.CAFiles), "tls-hubble-server-ca-files", "authorities of the nodes' certificates")
	flags.StringVar(&cfg.Server.CertFile, "tls-relay-server-cert-file", "", "certificate to serve with")
	flags.StringVar(&cfg.Server.KeyFile, "tls-relay-server-key-file", "", "its key")
	flags.Var(config.List(&cfg.Server.CAFiles), "tls-relay-client-ca-files", "authorities of the certificates that clients must show; none lets all in")
	flags.Var(config.Choice(&log.level, "debug", "info", "warn", "error"), "log-level", "least level that is logged")
	flags.Var(config.Choice(&log.format, "text", "json"), "log-format", "how the log is written")
}

// nodeName is the node's name where no setting says it.
func nodeName() string {
	if name := os.Getenv("NODE_NAME"); name != "" {
		return name
	}
	// Without a name of the host the setting is empty, and refused as such.
	name, _ := os.Hostname()
	return name
}

// logging says how to log, in words that the flags checked.
type logging struct{ level, format string }

func (l logging) logger(w io.Writer) *slog.Logger {
	levels := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}
	options := &slog.HandlerOptions{Level: levels[l.level]}
	if l.format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
