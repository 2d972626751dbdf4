// Package sample makes the flows of a busy cluster to measure with: the same
// ones each time.
package sample

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"time"

	"github.com/fovea-obs/fovea/agent/dns"
	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/fate"
	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/agent/mac"
	"github.com/fovea-obs/fovea/agent/observer"
	"github.com/fovea-obs/fovea/agent/policy"
	"github.com/fovea-obs/fovea/agent/service"
)

const (
	// Flows is how many there are in a full sample.
	Flows = 1_000_000

	seed       = 20
	cluster    = "prod"
	namespaces = 20
	pods       = 2000
	// replicas are the pods of a Deployment.
	replicas = 5
	services = pods / replicas

	// worldAddresses are outside of the cluster, worldPerName under one name.
	worldAddresses = 512
	worldPerName   = 4
)

// Sample is a history and what names its records' ends.
type Sample struct {
	History   *history.History
	Endpoints *endpoint.Table
	Services  *service.Table
	Names     *dns.Table
	Fates     *fate.Table
	MACs      *mac.Table
	Policies  *policy.Table

	generator *generator
}

// New makes a sample of so many flows, the oldest of a full one.
func New(flows int) (*Sample, error) { return NewLater(flows, 0) }

// NewLater makes the same, each flow later by so much.
func NewLater(flows int, by time.Duration) (*Sample, error) {
	// One chunk more than they fill, as the ring may take its oldest.
	const chunk = history.MinSize / 2
	h, err := history.New(chunk * int64(max(2, flows/history.ChunkSize+2)))
	if err != nil {
		return nil, err
	}
	s := &Sample{History: h, Endpoints: endpoint.NewTable(cluster), Names: dns.NewTable(), Fates: fate.NewTable(), MACs: mac.NewTable()}
	s.Services = service.NewTable(cluster, s.Endpoints)
	s.Policies = policy.NewTable(s.Endpoints)
	s.generator = newGenerator(s)
	for i := range flows {
		s.Append(TimeOf(i).Add(by))
	}
	return s, nil
}

// Append has one more flow happen, which must be later than all others.
func (s *Sample) Append(at time.Time) {
	r := s.generator.record(at)
	s.History.Append(&r)
}

// Server serves the sample, as the node of a number from 1 on.
func (s *Sample) Server(node uint16) *observer.Server {
	return observer.New(observer.Config{
		History: s.History, Endpoints: s.Endpoints, Services: s.Services, Names: s.Names, Fates: s.Fates, MACs: s.MACs, Policies: s.Policies,
		NodeName: fmt.Sprintf("node-%d", node), Cluster: cluster, Version: "0.1.0",
		Instance: [8]byte{1, 2, 3, 4, 5, 6, byte(node >> 8), byte(node)}, Started: begin(),
		InterfaceName: func(index uint32) string { return "veth" + strconv.Itoa(int(index)) },
		ReasonName:    func(uint32) string { return "NETFILTER_DROP" },
		Symbol:        func(uint64) string { return "nf_hook_slow" },
	})
}

// begin is before the first flow; they come a millisecond apart.
func begin() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

// TimeOf is when flow number i was.
func TimeOf(i int) time.Time { return begin().Add(time.Duration(i+1) * time.Millisecond) }

// pod is number i of the pods.
func pod(i int) endpoint.Endpoint {
	app := i / replicas
	track := "stable"
	if i%replicas == 0 {
		track = "canary"
	}
	return endpoint.ForPod(cluster, namespaceOf(app), podName(i), map[string]string{
		"app":               appName(app),
		"team":              fmt.Sprintf("team-%d", app%7),
		"tier":              []string{"frontend", "backend", "data"}[app%3],
		"track":             track,
		"pod-template-hash": hash(app),
	}, []endpoint.Workload{{Kind: "Deployment", Name: appName(app)}})
}

func namespaceOf(app int) string { return fmt.Sprintf("shop-%02d", app%namespaces) }
func appName(app int) string     { return fmt.Sprintf("app-%03d", app) }
func podName(i int) string {
	return appName(i/replicas) + "-" + hash(i/replicas) + fmt.Sprintf("-x%04d", i)
}
func hash(app int) string { return fmt.Sprintf("6d5f%05x", app*2654435761%(1<<20)) }

func podAddress(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 244, byte(i >> 8), byte(i)}) }

func serviceAddress(app int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 96, byte(app >> 8), byte(app)})
}

// worldAddress is of the range that is set aside for benchmarks.
func worldAddress(i int) netip.Addr { return netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}) }

func worldName(i int) string { return fmt.Sprintf("api-%03d.example.com", i/worldPerName) }

// newGenerator makes all that is named known to the sample's tables.
func newGenerator(s *Sample) *generator {
	g := &generator{random: rand.New(rand.NewPCG(seed, seed)), sample: s}
	for i := range pods {
		e := pod(i)
		s.Endpoints.Set(e.Pod, endpoint.Binding{Endpoint: e, Addresses: []netip.Addr{podAddress(i)}}, 0)
		g.pods[i] = end{address: podAddress(i).As16(), number: s.Endpoints.Remote(podAddress(i), 0)}
	}
	frontends := map[service.Frontend]service.Name{}
	for app := range services {
		frontends[service.Frontend{Address: serviceAddress(app)}] = service.Name{
			Namespace: namespaceOf(app), Name: appName(app),
		}
	}
	s.Services.Replace(frontends)
	for app := range services {
		n := s.Services.Lookup(serviceAddress(app), 0, 0)
		g.services[app] = end{serviceAddress(app).As16(), s.Services.At(n).Endpoint, n}
	}
	names := map[netip.Addr][]string{}
	for i := range worldAddresses {
		names[worldAddress(i)] = []string{worldName(i)}
	}
	s.Names.Replace(names)
	g.drop = s.Fates.Number(fate.Fate{Reason: reasonNetfilter, Location: 0xffffffff81000000})
	return g
}
