package relay

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/fovea-obs/fovea/internal/config"
	"github.com/fovea-obs/fovea/internal/nodename"
	"github.com/fovea-obs/fovea/internal/rpc"
)

// Config is all that a relay is told. [DefaultConfig] returns one to start from;
// [Config.Validate] names the settings by their flags.
type Config struct {
	// Version is told to clients: v0.1.0.
	Version string
	// Name is what the relay calls itself where nodes tell their names.
	Name string
	// ListenAddress and HealthListenAddress are TCP addresses to serve on, as :4245,
	// or unix sockets.
	ListenAddress, HealthListenAddress string
	// MetricsListenAddress is the same for Prometheus, which is answered over HTTP; empty
	// for no metrics.
	MetricsListenAddress string
	// PeerService is the address of a Peer service, which tells the nodes; empty for
	// none. Peers are nodes that are there for good, as name=host:port. PeerEndpoints is a
	// Service of Kubernetes whose endpoints the nodes' agents are, as namespace/service.
	// One of the three is used: DefaultPeerService counts where there is no other.
	PeerService   string
	Peers         []string
	PeerEndpoints string
	// Kubeconfig is the file that says how to reach the API for PeerEndpoints; empty for
	// the service account of the relay's pod. ClusterName is part of what the nodes are
	// called that are found so.
	Kubeconfig, ClusterName string
	// SortBufferDrainTimeout is how long a flow waits at most, while requests follow,
	// for nodes that do not tell how far they have come.
	SortBufferDrainTimeout time.Duration
	// SortBufferLenMax is how many flows of a request that follows wait so at most: with
	// more, the earliest is out at once.
	SortBufferLenMax int
	// RetryTimeout is how long it takes at most until a node that is away is tried
	// again.
	RetryTimeout time.Duration
	// DisableClientTLS asks nodes in plaintext, DisableServerTLS serves so.
	DisableClientTLS, DisableServerTLS bool
	// Client is what nodes are shown and must show: they are asked by the names that
	// the Peer service tells, or by their addresses. Server is the same of clients.
	// Files are in PEM, and read again when they change.
	Client, Server TLS
}

// TLS is files of certificates: one to show and its key, and the authorities of those
// that the other side must show.
type TLS struct {
	CertFile, KeyFile string
	CAFiles           []string
}

// Names of settings that have files, whose mistakes are found when they are read.
const (
	clientCert, clientKey, nodeCAs  = "tls-hubble-client-cert-file", "tls-hubble-client-key-file", "tls-hubble-server-ca-files"
	serverCert, serverKey, clientCA = "tls-relay-server-cert-file", "tls-relay-server-key-file", "tls-relay-client-ca-files"
)

// Bounds of settings.
const (
	MinDrainTimeout = 10 * time.Millisecond
	MaxDrainTimeout = 10 * time.Second
	MaxBufferLen    = 10_000_000
	MinRetryTimeout = time.Second
	MaxRetryTimeout = 10 * time.Minute
)

// DefaultPeerService is that of the agent on the same node.
const DefaultPeerService = "unix:///var/run/fovea/hubble.sock"

// DefaultConfig returns the settings of a relay that is told nothing.
func DefaultConfig(name string) Config {
	return Config{
		Name: name, ListenAddress: ":4245", HealthListenAddress: ":4222",
		PeerService: DefaultPeerService, ClusterName: nodename.DefaultCluster,
		SortBufferDrainTimeout: 200 * time.Millisecond,
		SortBufferLenMax:       20_000,
		RetryTimeout:           10 * time.Second,
	}
}

// Validate returns nil, or one [config.Error] for each setting that is not allowed,
// joined.
func (c *Config) Validate() error {
	var errs []error
	check := func(ok bool, name, value, want string) {
		if !ok {
			errs = append(errs, &config.Error{Name: name, Value: value, Want: want})
		}
	}
	check(rpc.IsAddress(c.ListenAddress), "listen-address", c.ListenAddress, "address:port such as :4245, or unix:///path")
	check(rpc.IsAddress(c.HealthListenAddress), "health-listen-address", c.HealthListenAddress, "address:port such as :4222, or unix:///path")
	check(c.MetricsListenAddress == "" || rpc.IsAddress(c.MetricsListenAddress), "metrics-listen-address", c.MetricsListenAddress,
		"address:port such as :9966, unix:///path, or empty for none")
	c.validateNodes(check)
	check(c.SortBufferDrainTimeout >= MinDrainTimeout && c.SortBufferDrainTimeout <= MaxDrainTimeout,
		"sort-buffer-drain-timeout", c.SortBufferDrainTimeout.String(), fmt.Sprintf("%v to %v", MinDrainTimeout, MaxDrainTimeout))
	check(c.SortBufferLenMax >= 1 && c.SortBufferLenMax <= MaxBufferLen, "sort-buffer-len-max",
		strconv.Itoa(c.SortBufferLenMax), fmt.Sprintf("1 to %d", MaxBufferLen))
	check(c.RetryTimeout >= MinRetryTimeout && c.RetryTimeout <= MaxRetryTimeout,
		"retry-timeout", c.RetryTimeout.String(), fmt.Sprintf("%v to %v", MinRetryTimeout, MaxRetryTimeout))
	c.Client.validate(check, c.DisableClientTLS, "disable-client-tls", clientCert, clientKey, nodeCAs)
	c.Server.validate(check, c.DisableServerTLS, "disable-server-tls", serverCert, serverKey, clientCA)
	check(c.DisableServerTLS || c.Server.CertFile != "", serverCert, "", "a certificate to serve with, or disable-server-tls")
	check(c.DisableClientTLS || len(c.Client.CAFiles) > 0, nodeCAs, "", "the authorities of the nodes' certificates, or disable-client-tls")
	return errors.Join(errs...)
}

func (t *TLS) validate(check func(ok bool, name, value, want string), disabled bool, option, cert, key, authorities string) {
	if disabled {
		want := "none where " + option + " is given"
		check(t.CertFile == "", cert, t.CertFile, want)
		check(t.KeyFile == "", key, t.KeyFile, want)
		check(len(t.CAFiles) == 0, authorities, strings.Join(t.CAFiles, ","), want)
		return
	}
	check(t.CertFile != "" || t.KeyFile == "", cert, "", "the certificate whose key "+key+" is")
	check(t.KeyFile != "" || t.CertFile == "", key, "", "the key of the certificate in "+cert)
}
