package oracle

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// tally counts what was compared, so that a test that compares nothing fails.
type tally struct {
	mu sync.Mutex
	// flows there were, and how many requests were on them.
	flows, takenRequests, refusedRequests int
	// judgements are flows that a request was held against, matches those that
	// passed, partial the requests that some flows passed and others not.
	judgements, matches, partial int
	filters                      int
	fields                       map[string]*fieldTally
}

// fieldTally counts requests of a field and nothing else.
type fieldTally struct{ taken, refused, matching, partial int }

func newTally() *tally { return &tally{fields: map[string]*fieldTally{}} }

func (c *tally) histories(flows int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flows += flows
}

func (c *tally) taken(req *observerpb.GetFlowsRequest, flows, matches int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	some := 0 < matches && matches < flows
	c.takenRequests++
	c.filters += len(req.GetWhitelist()) + len(req.GetBlacklist())
	c.judgements += flows
	c.matches += matches
	c.partial += count(some)
	if f := c.field(req); f != nil {
		f.taken++
		f.matching += count(matches > 0)
		f.partial += count(some)
	}
}

func (c *tally) refused(req *observerpb.GetFlowsRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refusedRequests++
	c.filters += len(req.GetWhitelist()) + len(req.GetBlacklist())
	if f := c.field(req); f != nil {
		f.refused++
	}
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// field is the one of a request that has no other, or nil.
func (c *tally) field(req *observerpb.GetFlowsRequest) *fieldTally {
	if len(req.GetWhitelist()) != 1 || len(req.GetBlacklist()) > 0 {
		return nil
	}
	var names []string
	eachField(req.GetWhitelist()[0], func(d protoreflect.FieldDescriptor, _ protoreflect.Value) {
		names = append(names, string(d.Name()))
	})
	if len(names) != 1 {
		return nil
	}
	if c.fields[names[0]] == nil {
		c.fields[names[0]] = &fieldTally{}
	}
	return c.fields[names[0]]
}

func (c *tally) String() string {
	out := fmt.Sprintf("%d flows; %d filters in %d requests, of which %d refused; %d judgements, of which %d matches; some flows of %d requests",
		c.flows, c.filters, c.takenRequests+c.refusedRequests, c.refusedRequests, c.judgements, c.matches, c.partial)
	for _, name := range keys(c.fields) {
		out += fmt.Sprintf("\n%s: %+v", name, *c.fields[name])
	}
	return out
}

// check fails for fields of which no filter was refused, or none let some flows
// pass and others not, unless there is none such.
func (c *tally) check(t *testing.T) {
	neverRefused := []string{
		"uuid", "source_workload", "destination_workload", "source_identity", "destination_identity", "interface",
		"event_type", "reply", "tcp_flags", "http_method", "http_header", "trace_id", "ip_trace_id", "encrypted",
	}
	never := []string{
		"dns_query", "http_status_code", "http_method", "http_path", "http_url", "http_header",
	}
	always := []string{"node_name", "node_labels", "trace_id", "ip_trace_id", "encrypted"}
	fields := (&flowpb.FlowFilter{}).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		name := string(fields.Get(i).Name())
		f := c.fields[name]
		switch {
		case f == nil || f.taken == 0:
			t.Errorf("%s: no filter taken", name)
		case f.refused == 0 && !slices.Contains(neverRefused, name):
			t.Errorf("%s: no filter refused", name)
		case slices.Contains(never, name):
		case f.matching == 0:
			t.Errorf("%s: no filter matches", name)
		case f.partial == 0 && !slices.Contains(always, name):
			t.Errorf("%s: no filter matches some flows and others not", name)
		}
	}
}
