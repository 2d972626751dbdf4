package main

import (
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fovea-obs/fovea/agent"
	"github.com/fovea-obs/fovea/internal/config"
)

// gcPercent is how much garbage there may be for what is in use. Most of that is
// the history, which costs the garbage collector nothing to look at: Go's own
// 100 would double it.
const gcPercent = 25

func agentCommand() *cobra.Command {
	cfg := agent.DefaultConfig(nodeName())
	cfg.Version = describe().Version
	log := logging{level: "info", format: "text"}
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Observe this node",
		Long: "Observe the flows of this node and serve them as Hubble does, until SIGINT or SIGTERM.\n\n" +
			"Each option may also be given as an environment variable, --node-name as\n" +
			"FOVEA_NODE_NAME, and in the file of --config, as node-name. The command line\n" +
			"counts more than the environment, and that more than the file.",
		Args: cobra.NoArgs,
		RunE: withSettings(func(cmd *cobra.Command) error {
			if os.Getenv("GOGC") == "" {
				debug.SetGCPercent(gcPercent)
			}
			return agent.Run(cmd.Context(), cfg, log.logger(cmd.ErrOrStderr()))
		}),
	}
	agentFlags(cmd.Flags(), &cfg, &log)
	return cmd
}

func agentFlags(flags *pflag.FlagSet, cfg *agent.Config, log *logging) {
	flags.SortFlags = false
	flags.String("config", "", "YAML file with settings, named as these options")
	flags.StringVar(&cfg.NodeName, "node-name", cfg.NodeName, "name of this node; by default $NODE_NAME, or else the host's name")
	flags.StringVar(&cfg.ClusterName, "cluster-name", cfg.ClusterName, "name of the cluster")
	flags.StringVar(&cfg.EndpointsFile, "endpoints", "", "YAML file that says which endpoints, nodes and services there are; read again when it changes")
	flags.Var(config.Choice(&cfg.Kubernetes, agent.KubernetesAuto, agent.KubernetesOn, agent.KubernetesOff), "kubernetes", "take them from a cluster's API instead; auto does with --kubeconfig, or in a pod without --endpoints")
	flags.StringVar(&cfg.Kubeconfig, "kubeconfig", "", "file that says how to reach the cluster's API; by default the pod's service account")
	flags.StringVar(&cfg.CRISocket, "cri-socket", "", "unix socket of the container runtime, which tells of pods sooner than the API, and without one; empty for none")
	flags.Var(config.List(&cfg.Interfaces), "interfaces", "patterns of the names of interfaces to follow, and with ! before it of those not to; by default veths that lead to another network namespace, and for the node's own traffic those of default routes and overlays")
	config.Switch(flags, &cfg.Overlay, "overlay", "also tell the packets between nodes that carry others: VXLAN, Geneve, WireGuard, IPsec, GRE, IP in IP")
	flags.Var(config.List(&cfg.DropReasons), "drop-reasons", "names of the kernel's drop reasons to tell though they are no loss to anyone, and with ! before it not to tell though they are")
	flags.Var(config.Count(&cfg.NFLOGGroup), "nflog-group", "NFLOG group to which an engine of network policies logs what it denies, as kube-router does to 100; 0 for none")
	flags.StringVar(&cfg.SocketPath, "socket-path", cfg.SocketPath, "unix socket to serve on; empty for none")
	flags.StringVar(&cfg.ListenAddress, "listen-address", cfg.ListenAddress, "TCP address to serve on; empty for none")
	config.Switch(flags, &cfg.DisableServerTLS, "disable-server-tls", "serve the TCP address in plaintext")
	flags.StringVar(&cfg.TLSCertFile, "tls-cert-file", "", "PEM file with the certificate to serve the TCP address with; read again when it changes")
	flags.StringVar(&cfg.TLSKeyFile, "tls-key-file", "", "PEM file with its key; read again when it changes")
	flags.Var(config.List(&cfg.TLSClientCAFiles), "tls-client-ca-files", "PEM files with the authorities whose clients are served; read again when they change; by default any client is served")
	flags.StringVar(&cfg.HealthListenAddress, "health-listen-address", "", "address to serve the health service on, in plaintext and for probes, such as :4243; empty for none")
	flags.Var(config.Size(&cfg.History), "history", "memory for flows")
	flags.Var(config.Choice(&cfg.Aggregation, agent.AggregateConnection, agent.AggregateNone), "aggregation", "report connections, or each packet")
	flags.Var(config.Duration(&cfg.AggregationInterval), "aggregation-interval", "how often a connection is reported while packets flow")
	flags.Var(config.Count(&cfg.Connections), "connections", "how many connections are tracked at most")
	flags.Var(config.Size(&cfg.RingSize), "ring-size", "size of the kernel's ring buffer, a power of two")
	flags.Var(config.Choice(&cfg.Attach, agent.AttachAuto, agent.AttachTCX, agent.AttachClsact), "attach", "how programs are attached to interfaces")
	flags.Var(config.Choice(&log.level, "debug", "info", "warn", "error"), "log-level", "least level that is logged")
	flags.Var(config.Choice(&log.format, "text", "json"), "log-format", "how the log is written")
}
