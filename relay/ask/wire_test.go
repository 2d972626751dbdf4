package ask

import (
	"bytes"
	"slices"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/fovea-obs/fovea/internal/rpc"
	foveapb "github.com/fovea-obs/fovea/proto/v1"
)

func marshal(t testing.TB, m proto.Message) []byte {
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReadBatch(t *testing.T) {
	for name, tt := range map[string]struct {
		batch *foveapb.Batch
		times []int64
		bad   bool
	}{
		"empty":                   {batch: &foveapb.Batch{}},
		"a mark":                  {batch: &foveapb.Batch{Watermark: 7}},
		"two":                     {batch: &foveapb.Batch{Responses: []byte("abcde"), Sizes: []uint32{2, 3}, Times: []int64{1_700_000_000_000_000_000, 5}}, times: []int64{1_700_000_000_000_000_000, 1_700_000_000_000_000_005}},
		"an empty one":            {batch: &foveapb.Batch{Sizes: []uint32{0}, Times: []int64{-1}}, times: []int64{-1}},
		"too long":                {batch: &foveapb.Batch{Responses: []byte("abc"), Sizes: []uint32{4}, Times: []int64{1}}, bad: true},
		"more than sizes say":     {batch: &foveapb.Batch{Responses: []byte("abc"), Sizes: []uint32{2}, Times: []int64{1}}, bad: true},
		"fewer times":             {batch: &foveapb.Batch{Responses: []byte("abc"), Sizes: []uint32{1, 2}, Times: []int64{1}}, bad: true},
		"more times":              {batch: &foveapb.Batch{Responses: []byte("abc"), Sizes: []uint32{3}, Times: []int64{1, 2}}, bad: true},
		"a size beyond all sizes": {batch: &foveapb.Batch{Responses: []byte("abc"), Sizes: []uint32{1<<32 - 1}, Times: []int64{1}}, bad: true},
	} {
		got, err := readBatch(rpc.NewPiece(marshal(t, tt.batch)))
		if (err != nil) != tt.bad {
			t.Errorf("%s: error %v", name, err)
			continue
		}
		if tt.bad {
			continue
		}
		var times []int64
		var all []byte
		for _, i := range got.Items {
			times = append(times, i.Time)
			all = append(all, i.Message.Bytes()...)
		}
		if !slices.Equal(times, tt.times) || !bytes.Equal(all, tt.batch.Responses) || got.Mark != tt.batch.Watermark {
			t.Errorf("%s: times %v, %q, mark %d", name, times, all, got.Mark)
		}
	}
}

func TestTimeOf(t *testing.T) {
	at := time.Unix(1_700_000_000, 123_456_789)
	for name, tt := range map[string]struct {
		response *observerpb.GetFlowsResponse
		want     int64
		happened bool
	}{
		"none":        {&observerpb.GetFlowsResponse{NodeName: "node1"}, 0, false},
		"one":         {&observerpb.GetFlowsResponse{NodeName: "node1", Time: timestamppb.New(at)}, at.UnixNano(), false},
		"before 1970": {&observerpb.GetFlowsResponse{Time: timestamppb.New(time.Unix(-2, 5))}, -2e9 + 5, false},
		"of a flow": {&observerpb.GetFlowsResponse{
			Time: timestamppb.New(at), ResponseTypes: &observerpb.GetFlowsResponse_Flow{Flow: &flowpb.Flow{}},
		}, at.UnixNano(), true},
		"of a loss": {&observerpb.GetFlowsResponse{
			Time: timestamppb.New(at), ResponseTypes: &observerpb.GetFlowsResponse_LostEvents{LostEvents: &flowpb.LostEvent{}},
		}, at.UnixNano(), false},
	} {
		b := marshal(t, tt.response)
		if got, happened, err := timeOf(b); got != tt.want || happened != tt.happened || err != nil {
			t.Errorf("%s: %d, %v, %v; want %d, %v", name, got, happened, err, tt.want, tt.happened)
		}
		if got := Happened(b); got != tt.happened {
			t.Errorf("%s happened: %v, want %v", name, got, tt.happened)
		}
	}
}

// FuzzWire reads any bytes, as a node may send. What a library reads is read the same.
func FuzzWire(f *testing.F) {
	f.Add(marshal(f, &foveapb.Batch{Responses: []byte("abcde"), Sizes: []uint32{2, 3}, Times: []int64{1, 5}, Watermark: 9}))
	f.Add(marshal(f, &observerpb.GetFlowsResponse{NodeName: "node1", Time: timestamppb.New(time.Unix(1, 2))}))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := readBatch(rpc.NewPiece(b))
		if err == nil {
			total := 0
			for _, i := range got.Items {
				total += i.Message.Len()
			}
			if total > len(b) {
				t.Errorf("%d bytes of %d", total, len(b))
			}
		}
		var want observerpb.GetFlowsResponse
		at, happened, err := timeOf(b)
		if err == nil && happened != Happened(b) {
			t.Errorf("%x happened: %v", b, happened)
		}
		if proto.Unmarshal(b, &want) == nil && bytes.Equal(marshal(t, &want), b) {
			if w := want.GetTime(); err != nil || w.IsValid() && at != w.AsTime().UnixNano() && at == 0 {
				t.Errorf("%v: %d, %v", &want, at, err)
			}
		}
	})
}
