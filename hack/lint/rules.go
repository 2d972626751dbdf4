package main

import (
	"path"
	"strings"
)

// room says what a package may import. Patterns are paths below the module for
// our packages, import paths for others; x/... is x and all below it.
type room struct {
	// name is the package's own pattern. The first room that fits counts.
	name string
	// may are the packages of ours that it may import.
	may []string
	// not are packages that it may not import itself, never those that it may
	// not reach through others either.
	not, never []string
	why        string
}

// Groups of packages from outside.
var (
	wire    = []string{"google.golang.org/protobuf/...", "google.golang.org/grpc/...", "github.com/cilium/cilium/..."}
	kernel  = []string{"github.com/cilium/ebpf/...", "github.com/vishvananda/netlink/...", "agent/datapath", "bpf"}
	kube    = []string{"k8s.io/...", "sigs.k8s.io/..."}
	effects = []string{"os/...", "net", "net/http/...", "net/rpc/...", "io/fs", "io/ioutil", "syscall", "database/sql/...",
		"golang.org/x/sys/...", "google.golang.org/grpc/..."}
)

// rooms is the house, in the order that data takes.
var rooms = []room{
	{name: ".", may: list("agent", "relay", "internal/config", "internal/version"),
		why: "main.go is the command line and holds no logic"},
	{name: "bpf", never: join(wire, kube),
		why: "bpf holds the programs and knows no names"},
	{name: "agent/reason", not: effects, never: join(wire, kube, kernel),
		why: "a table is known on both sides of the data's way"},
	{name: "agent/datapath", may: list("bpf", "agent/reason"), never: join(wire, kube),
		why: "the datapath says what the kernel saw; who that was is decided behind it"},
	{name: "agent/intern", never: join(wire, kube, kernel),
		why: "numbers know nothing of what they stand for"},
	{name: "agent/memory", never: join(wire, kube, kernel), why: "it knows nothing of flows"},
	{name: "agent/mac", may: list("agent/intern"), not: effects, never: join(wire, kube),
		why: "tables are filled by a source and do no I/O, so a test needs none"},
	{name: "agent/fate", may: list("agent/intern", "agent/policy", "agent/engine"), not: effects, never: join(wire, kube),
		why: "tables are filled by a source and do no I/O, so a test needs none"},
	{name: "agent/endpoint", may: list("agent/intern"), not: effects, never: join(wire, kube),
		why: "tables are filled by a source and do no I/O, so a test needs none"},
	{name: "agent/service", may: list("agent/intern", "agent/endpoint"), not: effects, never: join(wire, kube),
		why: "tables are filled by a source and do no I/O, so a test needs none"},
	{name: "agent/policy", may: list("agent/intern", "agent/endpoint"), not: effects, never: join(wire, kube),
		why: "tables are filled by a source and do no I/O, so a test needs none"},
	{name: "agent/engine", may: list("agent/policy"), not: effects, never: join(wire, kube, kernel),
		why: "a text goes in and what it says comes out"},
	{name: "agent/dns", may: list("agent/intern"), not: effects, never: join(wire, kube),
		why: "tables are filled by a source and do no I/O, so a test needs none"},
	{name: "agent/event", may: list("agent/endpoint", "agent/service"), not: effects, never: join(wire, kube, kernel),
		why: "what happened is kept as the tables tell it; messages are made on read"},
	{name: "agent/static", may: list("agent/endpoint", "agent/service", "agent/policy", "agent/dns", "internal/yamldoc", "internal/files"), never: join(wire, kube),
		why: "a source fills the tables and knows no flows"},
	{name: "agent/cri", may: list("agent/endpoint"), never: list("agent/history", "agent/datapath", "k8s.io/client-go/...", "k8s.io/api/..."),
		why: "a source fills the tables and knows no flows, and a runtime is no API server"},
	{name: "agent/kube", may: list("agent/endpoint", "agent/service", "agent/policy", "agent/event", "agent/peer", "internal/kubeclient", "internal/nodename"),
		never: list("agent/history", "agent/datapath"),
		why:   "a source fills the tables and knows no flows"},
	{name: "agent/history", never: join(wire, kube, kernel),
		why: "the record is the only form of a flow inside, and history imports nothing of ours"},
	{name: "agent/ingest", never: join(wire, kube),
		may: list("bpf", "agent/datapath", "agent/endpoint", "agent/service", "agent/policy", "agent/engine", "agent/dns", "agent/fate", "agent/mac", "agent/history"),
		why: "ingest writes records; messages are made on read, for the flows that matched"},
	{name: "agent/observer/lookup", never: kernel,
		may: list("agent/history", "agent/endpoint", "agent/service", "agent/policy", "agent/dns", "agent/fate", "agent/mac", "agent/reason"),
		why: "what numbers stand for is the same for filters and the encoder"},
	{name: "agent/observer/encode", never: kernel,
		may: list("agent/observer/lookup", "agent/history", "agent/endpoint", "agent/service", "agent/policy", "agent/engine", "agent/dns", "agent/fate", "agent/mac"),
		why: "the encoder writes what was found and does not look for it"},
	{name: "agent/observer/cel", never: kernel,
		why: "expressions are asked of messages and know no records"},
	{name: "agent/observer/filter", never: kernel,
		may: list("agent/observer/lookup", "agent/observer/encode", "agent/observer/cel", "agent/history", "agent/endpoint", "agent/service", "agent/dns", "agent/fate", "agent/mac", "internal/glob"),
		why: "filters know records and nothing of calls"},
	{name: "agent/observer", never: kernel,
		may: list("agent/observer/...", "agent/history", "agent/event", "agent/endpoint", "agent/service", "agent/policy", "agent/dns", "agent/fate", "agent/mac", "agent/peer", "internal/...", "proto/..."),
		why: "the observer reads history and nothing before it"},
	{name: "agent/peer", may: list("internal/..."), never: join(kernel, kube),
		why: "the peer service tells of nodes, not of flows"},
	{name: "agent", may: list("agent/...", "internal/...", "proto/..."), never: list("relay/..."),
		why: "the agent puts its rooms together; the relay is another process"},
	{name: "proto/...", never: join(kernel, kube, list("agent/...", "relay/...")),
		why: "messages know nobody"},
	{name: "relay/discover", may: list("relay/peers", "internal/kubeclient", "internal/nodename"), never: join(kernel, list("agent/...")),
		why: "a source tells who the peers are and knows no flows"},
	{name: "relay/metrics", may: list("relay/peers"), never: join(kernel, kube, list("agent/...")),
		why: "counts are told by those who know what they count"},
	{name: "relay/...", may: list("relay/...", "internal/...", "proto/..."), never: join(kernel, list("agent/...")),
		why: "the relay knows agents by their API only"},
	{name: "internal/files", never: join(wire, kube, kernel),
		why: "files are told of as such, whatever is in them"},
	{name: "internal/certs", may: list("internal/config", "internal/files"), never: join(kube, kernel, list("github.com/cilium/cilium/...")),
		why: "certificates are the same for any API and either side"},
	{name: "internal/kubeclient", never: join(kernel, list("github.com/cilium/cilium/...")),
		why: "the API is followed in one way, whatever is taken from it"},
	{name: "internal/nodename", never: join(wire, kube, kernel),
		why: "names are made of names"},
	{name: "internal/...", may: list("internal/..."), never: list("agent/...", "relay/...", "bpf"),
		why: "internal is used by both sides and knows neither"},
	{name: "proto/...", why: "messages import nothing of ours"},
	{name: "hack/netpol", may: list("hack/lab"), never: list("agent/..."),
		why: "the engine is what the agent's inference is held against, and shares nothing with it"},
	// Tools may use all, and no room above may import them.
	{name: "hack/...", may: list("...")},
}

// roomOf returns the room that the package is in.
func roomOf(name string) (room, bool) {
	for _, r := range rooms {
		if matches(r.name, name) {
			return r, true
		}
	}
	return room{}, false
}

// matches tells whether the pattern covers an import path.
func matches(pattern, name string) bool {
	if pattern == "..." || pattern == name {
		return true
	}
	below, isTree := strings.CutSuffix(pattern, "/...")
	return isTree && (name == below || strings.HasPrefix(name, path.Clean(below)+"/"))
}

func anyMatches(patterns []string, name string) bool {
	for _, p := range patterns {
		if matches(p, name) {
			return true
		}
	}
	return false
}

func list(patterns ...string) []string { return patterns }

func join(lists ...[]string) (all []string) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}
