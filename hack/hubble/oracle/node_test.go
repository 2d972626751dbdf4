package oracle

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/agent/observer"
	"github.com/fovea-obs/fovea/internal/rpc"
)

// began is the time before the first record.
const began = int64(1_800_000_000_000_000_000)

// node is a server over a history, and what was written to that.
type node struct {
	*universe
	tables  *tables
	history *history.History
	server  *observer.Server
	records []history.Record
}

func newNode(t *testing.T, cluster string, size int64) *node {
	t.Helper()
	n := &node{universe: newUniverse(cluster)}
	n.tables = newTables(n.universe)
	var err error
	if n.history, err = history.New(size); err != nil {
		t.Fatal(err)
	}
	c := observer.Config{
		History: n.history, Cluster: cluster, NodeName: "node-1.example.com", Version: "0.1.0",
		Instance: [8]byte{0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10},
		Started:  time.Unix(0, began),
		Now:      func() time.Time { return time.Unix(0, n.last()) },
	}
	n.tables.configure(n.universe, &c)
	n.server = observer.New(c)
	return n
}

// name is what the node calls itself.
func (n *node) name() string {
	if n.cluster == "default" {
		return "node-1.example.com"
	}
	return n.cluster + "/node-1.example.com"
}

// last is the time of the newest record.
func (n *node) last() int64 {
	if len(n.records) == 0 {
		return began
	}
	return n.records[len(n.records)-1].Time
}

// write appends so many records, some of them at the same time.
func (n *node) write(r *rand.Rand, count int) {
	for range count {
		record := n.tables.record(r, n.universe)
		record.Time = n.last() + r.Int64N(3)*r.Int64N(int64(time.Second))
		n.history.Append(&record)
		n.records = append(n.records, record)
	}
	n.history.Notify()
}

// stream is the server's side of a call without a connection.
type stream struct {
	grpc.ServerStreamingServer[observerpb.GetFlowsResponse]
	ctx  context.Context
	send func(*observerpb.GetFlowsResponse)
}

func (s *stream) Context() context.Context { return s.ctx }

// SendMsg reads the response as a client does, and hands it on.
func (s *stream) SendMsg(m any) error {
	r := &observerpb.GetFlowsResponse{}
	if err := proto.Unmarshal(m.(*rpc.Wire).Bytes, r); err != nil {
		return err
	}
	s.send(r)
	return nil
}

// get runs a request to its end.
func (n *node) get(ctx context.Context, req *observerpb.GetFlowsRequest) ([]*observerpb.GetFlowsResponse, error) {
	var out []*observerpb.GetFlowsResponse
	err := n.server.GetFlows(req, &stream{ctx: ctx, send: func(r *observerpb.GetFlowsResponse) { out = append(out, r) }})
	return out, err
}

// wire returns the message as the other side gets it.
func wire[M proto.Message](t *testing.T, m M) M {
	t.Helper()
	raw, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	out := m.ProtoReflect().New().Interface()
	if err := proto.Unmarshal(raw, out); err != nil {
		t.Fatal(err)
	}
	return out.(M)
}

// read returns what the history holds from the record with this number on, or
// from the oldest. Of each record there must be a response.
func (n *node) read(t *testing.T, from int) []*observerpb.GetFlowsResponse {
	t.Helper()
	req := &observerpb.GetFlowsRequest{}
	oldest := int(n.history.Oldest())
	switch {
	case from == len(n.records):
		return nil
	case from > oldest:
		req.Since = timestamppb.New(time.Unix(0, n.records[from].Time))
	}
	responses, err := n.get(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	records := n.records[max(from, oldest):]
	if len(responses) != len(records) {
		t.Fatalf("%d responses of %d records", len(responses), len(records))
	}
	for i, r := range responses {
		if at(r).UnixNano() != records[i].Time {
			t.Fatalf("response %d is of time %d, want %d", i, at(r).UnixNano(), records[i].Time)
		}
		if r.GetNodeName() != n.name() {
			t.Fatalf("response %d is of node %s, want %s", i, r.GetNodeName(), n.name())
		}
		if lost := records[i].Kind == history.KindLost; lost != (r.GetLostEvents() != nil) || lost == (r.GetFlow() != nil) {
			t.Fatalf("response %d of a record of kind %d: %v", i, records[i].Kind, r)
		}
	}
	return responses
}
