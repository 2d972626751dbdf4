package observer

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"

	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/agent/peer"
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
	// seen is the time of the last flow of each endpoint version, 0 if there
	// was none.
	seen []int64
}

func newNamespaces(h *history.History, t *endpoint.Table) *namespaces {
	return &namespaces{history: h, endpoints: t}
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

func (n *namespaces) note(s *history.Segment) {
	if size := n.endpoints.Len(); size > len(n.seen) {
		n.seen = append(n.seen, make([]int64, size-len(n.seen))...)
	}
	c := s.Columns()
	for row := int(n.next - s.First); row < s.Len; row++ {
		for _, number := range [2]uint32{c.Source[row], c.Destination[row]} {
			if int(number) < len(n.seen) {
				n.seen[number] = c.Time[row]
			}
		}
	}
}

// list returns the namespaces seen since a time, sorted by cluster and name.
// The cluster called default is told as none.
func (n *namespaces) list(since int64) []*observerpb.Namespace {
	n.read()
	n.mu.Lock()
	defer n.mu.Unlock()
	type key struct{ cluster, namespace string }
	found := map[key]bool{}
	for number, at := range n.seen {
		if at == 0 || at < since {
			continue
		}
		e := n.endpoints.At(endpoint.Number(number))
		k := key{e.Cluster, e.Namespace}
		if k.cluster == peer.DefaultCluster {
			k.cluster = ""
		}
		if k.namespace != "" {
			found[k] = true
		}
	}
	var out []*observerpb.Namespace
	for k := range found {
		out = append(out, &observerpb.Namespace{Cluster: k.cluster, Namespace: k.namespace})
	}
	slices.SortFunc(out, func(a, b *observerpb.Namespace) int {
		return cmp.Or(cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.Namespace, b.Namespace))
	})
	return out
}
