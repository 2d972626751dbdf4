package observer_test

import (
	"errors"
	"io"
	"testing"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/fovea-obs/fovea/agent/history"
	foveapb "github.com/fovea-obs/fovea/proto/v1"
)

// responses are those of a batch. Their times are compared with those beside them.
func responses(t *testing.T, b *foveapb.Batch) (all []*observerpb.GetFlowsResponse) {
	t.Helper()
	at, rest := int64(0), b.GetResponses()
	for i, size := range b.GetSizes() {
		r := &observerpb.GetFlowsResponse{}
		if err := proto.Unmarshal(rest[:size], r); err != nil {
			t.Fatal(err)
		}
		rest = rest[size:]
		if at += b.GetTimes()[i]; at != r.GetTime().AsTime().UnixNano() {
			t.Errorf("a response of %v is told as of %v", r.GetTime().AsTime(), time.Unix(0, at))
		}
		all = append(all, r)
	}
	if len(rest) > 0 || len(b.GetTimes()) != len(b.GetSizes()) {
		t.Errorf("%d bytes and %d times are left", len(rest), len(b.GetTimes())-len(b.GetSizes()))
	}
	return all
}

// differ says how the first two that are not equal differ.
func differ(want, got []*observerpb.GetFlowsResponse) string {
	for i := range min(len(want), len(got)) {
		if !proto.Equal(want[i], got[i]) {
			return cmp.Diff(want[i], got[i], protocmp.Transform())
		}
	}
	if len(want) != len(got) {
		return "one has more"
	}
	return ""
}

// TestBatches asks for the same in both ways.
func TestBatches(t *testing.T) {
	h, err := history.New(history.MinSize)
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(history.ChunkSize + 100) {
		r := history.Record{Time: i * 1000, Kind: history.KindTrace, Protocol: 6, DstPort: uint16(i % 10)}
		if i%100 == 7 {
			r = history.Record{Time: i * 1000, Kind: history.KindLost, Packets: 3}
		}
		h.Append(&r)
	}
	h.Notify()
	conn, _ := connect(t, h)
	plain, batches := observerpb.NewObserverClient(conn), foveapb.NewBatchesClient(conn)
	for name, req := range map[string]*observerpb.GetFlowsRequest{
		"all": {}, "last": {Number: 30}, "first": {Number: 3, First: true},
	} {
		var want, got []*observerpb.GetFlowsResponse
		one, err := plain.GetFlows(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		for r, err := one.Recv(); !errors.Is(err, io.EOF); r, err = one.Recv() {
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, r)
		}
		many, err := batches.GetFlows(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		messages := 0
		for b, err := many.Recv(); !errors.Is(err, io.EOF); b, err = many.Recv() {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, responses(t, b)...)
			messages++
		}
		if diff := differ(want, got); diff != "" || len(got) == 0 || messages > len(got) && len(got) > 5 {
			t.Errorf("%s: %d in %d messages, want %d: %.2000s", name, len(got), messages, len(want), diff)
		}
	}
}

// TestBeats has a stream that follows tell how far it has come.
func TestBeats(t *testing.T) {
	h, err := history.New(history.MinSize)
	if err != nil {
		t.Fatal(err)
	}
	conn, _ := connect(t, h)
	stream, err := foveapb.NewBatchesClient(conn).GetFlows(t.Context(), &observerpb.GetFlowsRequest{Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	first, err := stream.Recv()
	if err != nil || len(first.GetSizes()) > 0 {
		t.Fatalf("got %v, %v", first, err)
	}
	for mark := int64(0); mark < begun.UnixNano(); {
		b, err := stream.Recv()
		if err != nil || b.GetWatermark() < mark {
			t.Fatalf("after %d: %v, %v", mark, b, err)
		}
		mark = b.GetWatermark()
	}
	at := time.Now()
	h.Append(&history.Record{Time: at.UnixNano(), Kind: history.KindTrace})
	h.Notify()
	for {
		b, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if len(b.GetSizes()) > 0 {
			break
		}
		if b.GetWatermark() >= at.UnixNano() {
			t.Errorf("it has come to %v, before what is of %v", time.Unix(0, b.GetWatermark()), at)
		}
	}
}

func TestBatchesOfInvalid(t *testing.T) {
	h, err := history.New(history.MinSize)
	if err != nil {
		t.Fatal(err)
	}
	conn, _ := connect(t, h)
	stream, err := foveapb.NewBatchesClient(conn).GetFlows(t.Context(), &observerpb.GetFlowsRequest{Follow: true, First: true})
	if err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("got %v, want InvalidArgument", err)
	}
}
