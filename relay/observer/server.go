package observer

import (
	"log/slog"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"

	"github.com/fovea-obs/fovea/relay/metrics"
	"github.com/fovea-obs/fovea/relay/peers"
)

// Config of a Server. All fields but Metrics must be set.
type Config struct {
	Peers *peers.Peers
	// Name is what the relay calls itself where nodes tell their names.
	Name    string
	Version string
	// Patience is how long a flow waits while requests follow for nodes that do not
	// tell how far they have come.
	Patience time.Duration
	// MaxWaiting is how many flows of a request wait so at most: what is more is out
	// at once.
	MaxWaiting int
	// Retry is how long it takes at most until a node that failed is asked again.
	Retry time.Duration
	Log   *slog.Logger
	// Metrics count flows; nil counts nothing.
	Metrics *metrics.Flows
}

// Server implements Hubble's Observer service. It is safe for concurrent use.
type Server struct {
	observerpb.UnimplementedObserverServer
	c Config
}

// New returns a server, which is ready to be registered.
func New(c Config) *Server { return &Server{c: c} }
