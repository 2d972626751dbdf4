package observer

import (
	"log/slog"
	"runtime"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"

	"github.com/fovea-obs/fovea/agent/dns"
	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/event"
	"github.com/fovea-obs/fovea/agent/fate"
	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/agent/mac"
	"github.com/fovea-obs/fovea/agent/observer/encode"
	"github.com/fovea-obs/fovea/agent/observer/filter"
	"github.com/fovea-obs/fovea/agent/observer/lookup"
	"github.com/fovea-obs/fovea/agent/peer"
	"github.com/fovea-obs/fovea/agent/policy"
	"github.com/fovea-obs/fovea/agent/service"
	"github.com/fovea-obs/fovea/internal/nodename"
)

// Config is what a Server serves and how it names it. History and the tables are
// required. All functions must be safe for concurrent use; one
// that is nil knows nothing.
type Config struct {
	History *history.History
	// The tables whose numbers the records hold.
	Endpoints *endpoint.Table
	Services  *service.Table
	Names     *dns.Table
	Fates     *fate.Table
	MACs      *mac.Table
	Policies  *policy.Table
	// Events is what happened to the agent; nothing did if it is nil.
	Events *event.Log

	// NodeName is the node's name in the cluster.
	NodeName, Cluster string
	// Version of the agent, as clients are told it.
	Version string
	// Address is where other nodes reach this server, host:port.
	Address string
	// TLS tells whether it is served with TLS there.
	TLS bool
	// Peers are the nodes of the cluster; this one alone if it is nil.
	Peers *peer.Nodes

	// Instance is random for each start of the agent: see lookup.FormatUUID.
	Instance [8]byte
	// Started is when the agent was.
	Started time.Time
	// Now is the clock that records' times are from; time.Now if nil.
	Now func() time.Time

	// InterfaceName returns the name of an interface, or "" if it is gone.
	InterfaceName func(index uint32) string
	// ReasonName returns the name of one of the kernel's enum skb_drop_reason,
	// as NETFILTER_DROP, or "" if there is none.
	ReasonName func(reason uint32) string
	// Symbol returns the kernel function that holds an address, or "".
	Symbol func(address uint64) string
	// Degraded returns what of the agent does not work at present, a few words
	// each.
	Degraded func() []string

	// Log gets a line at level debug for each call of GetFlows that ends.
	// Nothing is logged if it is nil.
	Log *slog.Logger
}

// Server implements Hubble's Observer service. It is safe for concurrent use.
type Server struct {
	observerpb.UnimplementedObserverServer
	c Config
	// tables are the Config's, as filters and encoders want them.
	tables     lookup.Tables
	namespaces *namespaces
	compiler   *filter.Compiler
	encoders   *encode.Factory
	gate       gate
}

// New returns a server, which is ready to be registered. It knows namespaces
// for the full hour only while [Server.Run] runs.
func New(c Config) *Server {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Events == nil {
		c.Events = event.NewLog(func() int64 { return c.Now().UnixNano() })
	}
	if c.InterfaceName == nil {
		c.InterfaceName = func(uint32) string { return "" }
	}
	if c.ReasonName == nil {
		c.ReasonName = func(uint32) string { return "" }
	}
	if c.Symbol == nil {
		c.Symbol = func(uint64) string { return "" }
	}
	if c.Degraded == nil {
		c.Degraded = func() []string { return nil }
	}
	if c.Peers == nil {
		c.Peers = peer.NewNodes(nodename.Name(c.Cluster, c.NodeName), c.Address, false)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		c: c,
		tables: lookup.Tables{
			Endpoints: c.Endpoints, Services: c.Services, Names: c.Names, Fates: c.Fates, MACs: c.MACs, Policies: c.Policies,
			Node: nodename.Name(c.Cluster, c.NodeName), Version: c.Version, Instance: c.Instance,
			InterfaceName: c.InterfaceName, ReasonName: c.ReasonName, Symbol: c.Symbol,
		},
		namespaces: newNamespaces(c.History, c.Endpoints),
		// Half of the processors are left to ingest, which must not wait.
		gate: make(gate, max(1, runtime.GOMAXPROCS(0)/2)),
	}
	s.encoders = encode.NewFactory(&s.tables)
	s.compiler = filter.NewCompiler(&s.tables)
	return s
}
