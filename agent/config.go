package agent

import (
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/internal/config"
	"github.com/fovea-obs/fovea/internal/rpc"
)

// Aggregation says what a flow is reported for.
type Aggregation string

// Aggregations.
const (
	// AggregateConnection reports a connection when it is new, changes or
	// ends, and at an interval while packets flow.
	AggregateConnection Aggregation = "connection"
	// AggregateNone reports each packet.
	AggregateNone Aggregation = "none"
)

// Attach says how programs are attached to interfaces.
type Attach string

// Ways to attach.
const (
	// AttachAuto is TCX where the kernel has it, clsact otherwise.
	AttachAuto   Attach = "auto"
	AttachTCX    Attach = "tcx"
	AttachClsact Attach = "clsact"
)

// Kubernetes says whether names come from the API of a cluster.
type Kubernetes string

// Whether to ask Kubernetes.
const (
	// KubernetesAuto asks if there is a kubeconfig or, with no endpoints file,
	// if the agent runs in a pod with a service account.
	KubernetesAuto Kubernetes = "auto"
	KubernetesOn   Kubernetes = "on"
	KubernetesOff  Kubernetes = "off"
)

// Bounds of settings.
const (
	MinAggregationInterval = 100 * time.Millisecond
	MaxAggregationInterval = time.Hour
	MinConnections         = 1 << 10
	MaxConnections         = 1 << 24
	MaxRingSize            = 1 << 30
)

// Names of settings that have files, whose mistakes are found when they are read.
const (
	tlsCertFile      = "tls-cert-file"
	tlsKeyFile       = "tls-key-file"
	tlsClientCAFiles = "tls-client-ca-files"
)

// maxSocketPath is how long the path of a unix socket can be, in bytes.
const maxSocketPath = 107

// Config is all that an agent is told. [DefaultConfig] returns one to start
// from; [Config.Validate] names the settings by their flags.
type Config struct {
	// Version is told to clients: v0.1.0.
	Version string
	// NodeName and ClusterName are what flows call this node and its cluster.
	NodeName, ClusterName string
	// SocketPath is the unix socket to serve on; empty for none.
	SocketPath string
	// ListenAddress is the TCP address to serve on, as :4244; empty for none.
	ListenAddress string
	// DisableServerTLS serves ListenAddress in plaintext. Otherwise it is
	// served with certificates only.
	DisableServerTLS bool
	// TLSCertFile and TLSKeyFile are the certificate that it is served with, and
	// the certificate's key. Clients must show certificates of the authorities in
	// TLSClientCAFiles; with none any client is served. All are in PEM, and read
	// again when they change.
	TLSCertFile, TLSKeyFile string
	TLSClientCAFiles        []string
	// HealthListenAddress is where health is told, in plaintext and without flows, for
	// probes: a TCP address as :4243, or a unix socket; empty for nowhere.
	HealthListenAddress string
	// EndpointsFile is where endpoints, nodes and services come from; empty
	// for nowhere.
	EndpointsFile string
	// Kubernetes says whether they come from a cluster's API instead, and
	// Kubeconfig is the file that says how to reach it; empty for the service
	// account of the agent's pod.
	Kubernetes Kubernetes
	Kubeconfig string
	// CRISocket is the unix socket of the node's container runtime, which tells
	// of pods before the API does, or without one; empty for none.
	CRISocket string
	// Interfaces are glob patterns, as of path.Match, of the names of the
	// interfaces to follow. One that begins with ! or - excludes what it
	// matches, and counts more than all that include. With none that
	// includes, the default rule does: veths whose peer is in another network
	// namespace. What the node itself sends to the network and gets from there is
	// followed at the interfaces of default routes and of overlays, if these are
	// not excluded.
	Interfaces []string
	// Overlay has the packets told that carry an overlay's between nodes, as of
	// VXLAN or WireGuard, beside those that they carry.
	Overlay bool
	// DropReasons are names of the kernel's drop reasons that are told though they
	// are no loss to anyone, as TCP_OLD_DATA, and with ! or - before it those that
	// are not told though they are.
	DropReasons []string
	// NFLOGGroup is the group of NFLOG to which an engine of network policies logs
	// what it denies, as kube-router does to 100; 0 for none. Only one process can
	// listen to a group.
	NFLOGGroup int
	// History is the memory for flows, in bytes.
	History int64
	// Aggregation says what is reported, AggregationInterval how often a
	// connection is while packets flow.
	Aggregation         Aggregation
	AggregationInterval time.Duration
	// Connections is how many the kernel tracks at most.
	Connections int
	// RingSize is the size of the kernel's ring buffer in bytes: a power of
	// two, and a multiple of the page size.
	RingSize int64
	Attach   Attach
}

// DefaultConfig returns the settings of an agent that is told nothing but the
// name of its node.
func DefaultConfig(node string) Config {
	return Config{
		NodeName:            node,
		ClusterName:         "default",
		Kubernetes:          KubernetesAuto,
		SocketPath:          "/var/run/fovea/hubble.sock",
		ListenAddress:       ":4244",
		History:             128 << 20,
		Aggregation:         AggregateConnection,
		AggregationInterval: 5 * time.Second,
		Connections:         131072,
		RingSize:            8 << 20,
		Attach:              AttachAuto,
	}
}

// Validate returns nil, or one [config.Error] for each setting that is not
// allowed, joined.
func (c *Config) Validate() error {
	var errs []error
	check := func(ok bool, name, value, want string) {
		if !ok {
			errs = append(errs, &config.Error{Name: name, Value: value, Want: want})
		}
	}
	const name = "1 to 253 letters with no space or slash"
	check(isName(c.NodeName), "node-name", c.NodeName, name)
	check(isName(c.ClusterName), "cluster-name", c.ClusterName, name)
	check(len(c.SocketPath) <= maxSocketPath, "socket-path", c.SocketPath,
		fmt.Sprintf("a path of at most %d bytes, or empty for no socket", maxSocketPath))
	check(c.ListenAddress == "" || isListenAddress(c.ListenAddress), "listen-address", c.ListenAddress,
		"address:port such as :4244 or 10.0.0.1:4244, or empty for none")
	check(c.HealthListenAddress == "" || rpc.IsAddress(c.HealthListenAddress), "health-listen-address", c.HealthListenAddress,
		"address:port such as :4243, unix:///path, or empty for none")
	c.validateTLS(check)
	check(c.Kubernetes == KubernetesAuto || c.Kubernetes == KubernetesOn || c.Kubernetes == KubernetesOff,
		"kubernetes", string(c.Kubernetes), "one of auto, on, off")
	check(c.Kubeconfig == "" || c.EndpointsFile == "", "kubeconfig", c.Kubeconfig,
		"no endpoints beside it: each says who is there")
	check(c.Kubeconfig == "" || c.Kubernetes != KubernetesOff, "kubeconfig", c.Kubeconfig, "none where kubernetes is off")
	check(c.Kubernetes != KubernetesOn || c.EndpointsFile == "", "kubernetes", string(c.Kubernetes),
		"no endpoints beside it: each says who is there")
	check(len(c.CRISocket) <= maxSocketPath && (c.CRISocket == "" || path.IsAbs(c.CRISocket)), "cri-socket", c.CRISocket,
		fmt.Sprintf("an absolute path of at most %d bytes, or empty for none", maxSocketPath))
	check(c.CRISocket == "" || c.EndpointsFile == "", "cri-socket", c.CRISocket,
		"no endpoints beside it: each says who is there")
	check(c.NFLOGGroup >= 0 && c.NFLOGGroup <= math.MaxUint16, "nflog-group", strconv.Itoa(c.NFLOGGroup), "1 to 65535, or 0 for none")
	for _, p := range c.Interfaces {
		check(isPattern(p), "interfaces", p, "glob patterns of interface names such as veth*, with ! before what is excluded")
	}
	check(c.History >= history.MinSize, "history", config.FormatSize(c.History),
		"at least "+config.FormatSize(history.MinSize))
	check(c.Aggregation == AggregateConnection || c.Aggregation == AggregateNone,
		"aggregation", string(c.Aggregation), "one of connection, none")
	check(c.AggregationInterval >= MinAggregationInterval && c.AggregationInterval <= MaxAggregationInterval,
		"aggregation-interval", c.AggregationInterval.String(),
		fmt.Sprintf("%v to %v", MinAggregationInterval, MaxAggregationInterval))
	check(c.Connections >= MinConnections && c.Connections <= MaxConnections,
		"connections", strconv.Itoa(c.Connections), fmt.Sprintf("%d to %d", MinConnections, MaxConnections))
	page := int64(os.Getpagesize())
	check(c.RingSize >= page && c.RingSize <= MaxRingSize && c.RingSize&(c.RingSize-1) == 0,
		"ring-size", config.FormatSize(c.RingSize),
		fmt.Sprintf("a power of two from %s to %s", config.FormatSize(page), config.FormatSize(MaxRingSize)))
	check(c.Attach == AttachAuto || c.Attach == AttachTCX || c.Attach == AttachClsact,
		"attach", string(c.Attach), "one of auto, tcx, clsact")
	return errors.Join(errs...)
}

// validateTLS checks how the TCP address is served.
func (c *Config) validateTLS(check func(ok bool, name, value, want string)) {
	authorities := strings.Join(c.TLSClientCAFiles, ",")
	if c.DisableServerTLS {
		const want = "none where disable-server-tls is given"
		check(c.TLSCertFile == "", tlsCertFile, c.TLSCertFile, want)
		check(c.TLSKeyFile == "", tlsKeyFile, c.TLSKeyFile, want)
		check(authorities == "", tlsClientCAFiles, authorities, want)
		return
	}
	check(c.TLSCertFile != "" || c.TLSKeyFile == "", tlsCertFile, "", "the certificate whose key tls-key-file is")
	check(c.TLSKeyFile != "" || c.TLSCertFile == "", tlsKeyFile, "", "the key of the certificate in tls-cert-file")
	check(c.TLSCertFile != "" || authorities == "", tlsClientCAFiles, authorities,
		"none without tls-cert-file: clients show certificates only to who has one")
}

// servesTCP tells whether the TCP address is served, with TLS or in plaintext.
func (c *Config) servesTCP() bool {
	return c.servesTLS() || c.ListenAddress != "" && c.DisableServerTLS
}

// servesTLS tells whether it is served with TLS.
func (c *Config) servesTLS() bool { return c.ListenAddress != "" && c.TLSCertFile != "" }

// followsKubernetes tells whether a cluster's API is asked by an agent that runs
// in a pod with a service account or not.
func (c *Config) followsKubernetes(inCluster bool) bool {
	if c.Kubernetes == KubernetesAuto {
		return c.Kubeconfig != "" || inCluster && c.EndpointsFile == ""
	}
	return c.Kubernetes == KubernetesOn
}

func isName(s string) bool {
	return s != "" && len(s) <= 253 && !strings.ContainsFunc(s, func(r rune) bool {
		return r == '/' || r == ' ' || !unicode.IsPrint(r)
	})
}

func isListenAddress(s string) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil || strings.ContainsFunc(host, unicode.IsSpace) {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

func isPattern(s string) bool {
	s = strings.TrimLeft(s, "!-")
	_, err := path.Match(s, "")
	return s != "" && err == nil
}
