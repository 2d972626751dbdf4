package static

import (
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"reflect"
	"slices"

	"github.com/fovea-obs/fovea/agent/dns"
	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/service"
)

// Config says what a [Source] reads and what it fills. All fields are needed.
type Config struct {
	// Path is where the file is.
	Path string
	// Cluster and Node are the names of this cluster and node.
	Cluster, Node string
	Endpoints     *endpoint.Table
	Services      *service.Table
	Names         *dns.Table
	// Now is the time in nanoseconds since 1970.
	Now func() int64
	Log *slog.Logger
}

// Source keeps tables as an endpoints file says. It is the only writer of the
// nodes, services and names, and of the endpoints under its keys. Its methods must not
// be called concurrently.
type Source struct {
	c Config
	// content is what was read last, good or not; nil before the first time.
	content []byte
	// gone tells that the file could not be read since.
	gone bool
	// applied is what the tables hold; nil before the first time.
	applied *File
}

// New returns a source that has read nothing yet.
func New(c Config) *Source { return &Source{c: c} }

// Load reads the file and applies it. It fails, and changes nothing, if the
// file cannot be read or has [Mistakes].
func (s *Source) Load() error {
	data, err := os.ReadFile(s.c.Path)
	if err != nil {
		return err
	}
	return s.take(data)
}

func (s *Source) take(data []byte) error {
	s.content = data
	f, err := Parse(s.c.Path, data)
	if err != nil {
		return err
	}
	s.Apply(f)
	return nil
}

// Apply makes the tables say what f says, which must come from [Parse] and not
// be changed any more. The first file holds from time 0 on; of later ones, what
// they change holds from now on.
func (s *Source) Apply(f *File) {
	old, at := s.applied, s.c.Now()
	if old == nil {
		old, at = &File{}, 0
	}
	set, removed := s.applyEndpoints(old.Endpoints, f.Endpoints, at)
	if !reflect.DeepEqual(old.Nodes, f.Nodes) {
		s.c.Endpoints.SetNodes(s.c.Node, f.Nodes)
	}
	if !slices.Equal(old.Services, f.Services) {
		s.applyServices(f.Services)
	}
	if !reflect.DeepEqual(old.Names, f.Names) {
		s.applyNames(f.Names)
	}
	s.applied = f
	s.c.Log.Info("Endpoints file applied", "file", s.c.Path,
		"endpoints", len(f.Endpoints), "nodes", len(f.Nodes), "services", len(f.Services), "names", len(f.Names),
		"set", set, "removed", removed)
}

// applyEndpoints tells the table of the differences only: an endpoint that is
// set anew gets new intervals for its addresses.
func (s *Source) applyEndpoints(old, all []Endpoint, at int64) (set, removed int) {
	before := make(map[string]*Endpoint, len(old))
	for i := range old {
		before[old[i].key()] = &old[i]
	}
	var changed []*Endpoint
	for i := range all {
		e := &all[i]
		was, known := before[e.key()]
		delete(before, e.key())
		if !known || !reflect.DeepEqual(was, e) {
			changed = append(changed, e)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(before)) {
		s.c.Endpoints.Remove(key, at)
	}
	for _, e := range changed {
		s.c.Endpoints.Set(e.key(), s.binding(e), at)
	}
	return len(changed), len(before)
}

func (s *Source) binding(e *Endpoint) endpoint.Binding {
	var workloads []endpoint.Workload
	if e.Workload != (endpoint.Workload{}) {
		workloads = []endpoint.Workload{e.Workload}
	}
	return endpoint.Binding{
		Endpoint:  endpoint.ForPod(s.c.Cluster, e.Namespace, e.Pod, e.Labels, workloads),
		Interface: e.Interface,
		Addresses: e.Addresses,
	}
}

func (s *Source) applyServices(all []Service) {
	m := make(map[service.Frontend]service.Name, len(all))
	for i := range all {
		v := &all[i]
		m[v.frontend()] = service.Name{Namespace: v.Namespace, Name: v.Name}
	}
	s.c.Services.Replace(m)
}

func (s *Source) applyNames(all []Names) {
	m := make(map[netip.Addr][]string, len(all))
	for i := range all {
		m[all[i].Address] = all[i].Names
	}
	s.c.Names.Replace(m)
}

func (v *Service) frontend() service.Frontend {
	return service.Frontend{Address: v.Address, Port: v.Port, Protocol: v.Protocol}
}
