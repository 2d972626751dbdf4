package agent

import (
	"strings"
	"testing"
	"time"

	"github.com/fovea-obs/fovea/agent/history"
)

func TestDefaultConfigIsValid(t *testing.T) {
	c := DefaultConfig("node1")
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

func TestValidate(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*Config)
		want   string // nothing if it is allowed
	}{
		"no node":          {func(c *Config) { c.NodeName = "" }, `node-name: "", want`},
		"slash in node":    {func(c *Config) { c.NodeName = "a/b" }, `node-name: "a/b", want`},
		"no cluster":       {func(c *Config) { c.ClusterName = " " }, `cluster-name: " ", want`},
		"no socket":        {func(c *Config) { c.SocketPath = "" }, ""},
		"long socket":      {func(c *Config) { c.SocketPath = strings.Repeat("s", 108) }, "socket-path: "},
		"no address":       {func(c *Config) { c.ListenAddress = "" }, ""},
		"IPv6 address":     {func(c *Config) { c.ListenAddress = "[::1]:0" }, ""},
		"no port":          {func(c *Config) { c.ListenAddress = "10.0.0.1" }, `listen-address: "10.0.0.1", want`},
		"high port":        {func(c *Config) { c.ListenAddress = ":65536" }, "listen-address: "},
		"health":           {func(c *Config) { c.HealthListenAddress = ":4243" }, ""},
		"health by socket": {func(c *Config) { c.HealthListenAddress = "unix:///run/health.sock" }, ""},
		"health, no port": {func(c *Config) { c.HealthListenAddress = "node1" },
			`health-listen-address: "node1", want address:port such as :4243, unix:///path, or empty for none`},
		"patterns":         {func(c *Config) { c.Interfaces = []string{"veth*", "!veth-t?", "-lo"} }, ""},
		"empty pattern":    {func(c *Config) { c.Interfaces = []string{"veth*", "!"} }, `interfaces: "!", want`},
		"broken pattern":   {func(c *Config) { c.Interfaces = []string{"veth["} }, `interfaces: "veth[", want`},
		"little history":   {func(c *Config) { c.History = 1 << 10 }, `history: "1KiB", want at least`},
		"aggregation":      {func(c *Config) { c.Aggregation = "some" }, `aggregation: "some", want`},
		"short interval":   {func(c *Config) { c.AggregationInterval = time.Millisecond }, `aggregation-interval: "1ms", want 100ms to`},
		"a group of NFLOG": {func(c *Config) { c.NFLOGGroup = 65536 }, `nflog-group: "65536", want 1 to 65535, or 0 for none`},
		"few connections":  {func(c *Config) { c.Connections = 1023 }, `connections: "1023", want 1024 to`},
		"odd ring":         {func(c *Config) { c.RingSize = 3 << 20 }, `ring-size: "3MiB", want a power of two`},
		"no ring":          {func(c *Config) { c.RingSize = 0 }, `ring-size: "0B", want a power of two`},
		"attach":           {func(c *Config) { c.Attach = "xdp" }, `attach: "xdp", want`},
		"Kubernetes":       {func(c *Config) { c.Kubernetes = "yes" }, `kubernetes: "yes", want one of auto, on, off`},
		"two sources": {func(c *Config) { c.Kubeconfig, c.EndpointsFile = "k", "e" },
			`kubeconfig: "k", want no endpoints beside it`},
		"a source beside endpoints": {func(c *Config) { c.Kubernetes, c.EndpointsFile = KubernetesOn, "e" },
			`kubernetes: "on", want no endpoints beside it`},
		"a runtime's URL": {func(c *Config) { c.CRISocket = "unix:///run/containerd/containerd.sock" },
			`cri-socket: "unix:///run/containerd/containerd.sock", want an absolute path`},
		"a runtime beside endpoints": {func(c *Config) { c.CRISocket, c.EndpointsFile = "/run/r.sock", "e" },
			`cri-socket: "/run/r.sock", want no endpoints beside it`},
		"TLS": {func(c *Config) { c.TLSCertFile, c.TLSKeyFile, c.TLSClientCAFiles = "c", "k", []string{"a", "b"} }, ""},
		"a certificate without a key": {func(c *Config) { c.TLSCertFile = "c" },
			`tls-key-file: "", want the key of the certificate in tls-cert-file`},
		"a key without a certificate": {func(c *Config) { c.TLSKeyFile = "k" },
			`tls-cert-file: "", want the certificate whose key tls-key-file is`},
		"clients' authorities alone": {func(c *Config) { c.TLSClientCAFiles = []string{"a", "b"} },
			`tls-client-ca-files: "a,b", want none without tls-cert-file`},
		"TLS and plaintext": {func(c *Config) { c.DisableServerTLS, c.TLSCertFile, c.TLSKeyFile = true, "c", "k" },
			"tls-cert-file: \"c\", want none where disable-server-tls is given\ntls-key-file: "},
		"authorities and plaintext": {func(c *Config) { c.DisableServerTLS, c.TLSClientCAFiles = true, []string{"a"} },
			`tls-client-ca-files: "a", want none where disable-server-tls is given`},
		"a kubeconfig for none": {func(c *Config) { c.Kubernetes, c.Kubeconfig = KubernetesOff, "k" },
			`kubeconfig: "k", want none where kubernetes is off`},
		"two at once": {func(c *Config) { c.Attach = ""; c.NodeName = "" },
			"node-name: \"\", want 1 to 253 letters with no space or slash\nattach: "},
	} {
		t.Run(name, func(t *testing.T) {
			c := DefaultConfig("node1")
			tt.change(&c)
			err := c.Validate()
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// TestDefaultHistory holds what users are told of it.
func TestDefaultHistory(t *testing.T) {
	h, err := history.New(DefaultConfig("node-1").History)
	if err != nil {
		t.Fatal(err)
	}
	if h.Capacity() < 1_000_000 {
		t.Errorf("room for %d flows", h.Capacity())
	}
}

func TestServes(t *testing.T) {
	for name, tt := range map[string]struct {
		change   func(*Config)
		tcp, tls bool
	}{
		"by default":              {func(*Config) {}, false, false},
		"in plaintext":            {func(c *Config) { c.DisableServerTLS = true }, true, false},
		"with TLS":                {func(c *Config) { c.TLSCertFile = "c" }, true, true},
		"nowhere, with plaintext": {func(c *Config) { c.ListenAddress, c.DisableServerTLS = "", true }, false, false},
		"nowhere, with TLS":       {func(c *Config) { c.ListenAddress, c.TLSCertFile = "", "c" }, false, false},
	} {
		c := DefaultConfig("node1")
		tt.change(&c)
		if c.servesTCP() != tt.tcp || c.servesTLS() != tt.tls {
			t.Errorf("%s: TCP %v, TLS %v", name, c.servesTCP(), c.servesTLS())
		}
	}
}

func TestFollowsKubernetes(t *testing.T) {
	for name, tt := range map[string]struct {
		config    Config
		inCluster bool
		want      bool
	}{
		"nothing":                   {Config{Kubernetes: KubernetesAuto}, false, false},
		"in a pod":                  {Config{Kubernetes: KubernetesAuto}, true, true},
		"in a pod, with a file":     {Config{Kubernetes: KubernetesAuto, EndpointsFile: "e"}, true, false},
		"in a pod, off":             {Config{Kubernetes: KubernetesOff}, true, false},
		"with a kubeconfig":         {Config{Kubernetes: KubernetesAuto, Kubeconfig: "k"}, false, true},
		"on, with nothing to be it": {Config{Kubernetes: KubernetesOn}, false, true},
	} {
		if got := tt.config.followsKubernetes(tt.inCluster); got != tt.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}
