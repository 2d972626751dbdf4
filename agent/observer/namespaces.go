package observer

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"

	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/internal/nodename"
)

const (
	// rememberNamespace is how long a namespace is listed after its last flow.
	rememberNamespace = time.Hour
	// trackEvery bounds how often the tracker reads on: once in so long.
	trackEvery = time.Second
)

// namespaces knows the namespaces of the flows of the last hour, of which the
// history may hold less. It reads the history's endpoint columns like any
// reader, so that ingest has nothing to do for it.
type namespaces struct {
	history   *history.History
	endpoints *endpoint.Table

	mu sync.Mutex
	// next is the sequence number up to which the history was read.
	next uint64
	// seen is when each namespace had its last flow.
	seen map[space]int64
	// latest is the time of the last flow of each endpoint version since the last
	// chunk was begun, 0 if there was none.
	latest []int64
}

// space is a namespace of a cluster.
type space struct{ cluster, namespace string }

func newNamespaces(h *history.History, t *endpoint.Table) *namespaces {
	return &namespaces{history: h, endpoints: t, seen: map[space]int64{}}
}

// Run keeps track of the namespaces seen, until ctx ends, and returns nil.
func (s *Server) Run(ctx context.Context) error {
	n := s.namespaces
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-pause.C:
		}
		changed := n.history.Changed()
		n.read()
		n.forget(s.remembered())
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
			pause.Reset(trackEvery)
		}
	}
}

// read notes the endpoints of all records since the last time.
func (n *namespaces) read() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for end := n.history.Next(); n.next < end; {
		segment, err := n.history.Segment(n.next)
		if err != nil {
			n.next = max(n.next, n.history.Oldest())
			continue
		}
		n.note(&segment)
		n.next = segment.First + uint64(segment.Len)
		segment.Release()
	}
}

// note is told of a segment while it is held, in which numbers keep their
// meaning.
func (n *namespaces) note(s *history.Segment) {
	if size := n.endpoints.Len(); size > len(n.latest) {
		n.latest = append(n.latest, make([]int64, size-len(n.latest))...)
	}
	c := s.Columns()
	var numbers []uint32
	for row := int(n.next - s.First); row < s.Len; row++ {
		for _, number := range [2]uint32{c.Source[row], c.Destination[row]} {
			if n.latest[number] == 0 {
				numbers = append(numbers, number)
			}
			n.latest[number] = c.Time[row]
		}
	}
	for _, number := range numbers {
		if e := n.endpoints.At(endpoint.Number(number)); e.Namespace != "" {
			k := space{e.Cluster, e.Namespace}
			n.seen[k] = max(n.seen[k], n.latest[number])
		}
		n.latest[number] = 0
	}
}

// forget forgets the namespaces that were not seen since a time.
func (n *namespaces) forget(since int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	maps.DeleteFunc(n.seen, func(_ space, at int64) bool { return at < since })
}

// remembered is the time since which namespaces are known.
func (s *Server) remembered() int64 { return s.c.Now().Add(-rememberNamespace).UnixNano() }

// list returns the namespaces seen since a time, sorted by cluster and name, and
// forgets all others. The cluster called default is told as none.
func (n *namespaces) list(since int64) []*observerpb.Namespace {
	n.read()
	n.forget(since)
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []*observerpb.Namespace
	for k := range n.seen {
		if k.cluster == nodename.DefaultCluster {
			k.cluster = ""
		}
		out = append(out, &observerpb.Namespace{Cluster: k.cluster, Namespace: k.namespace})
	}
	slices.SortFunc(out, func(a, b *observerpb.Namespace) int {
		return cmp.Or(cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.Namespace, b.Namespace))
	})
	return out
}
