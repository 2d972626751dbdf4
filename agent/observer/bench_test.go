package observer

import (
	"context"
	"testing"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"

	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/history"
)

// BenchmarkScan goes through a chunk of records of which none passes: a filter
// of two fields, as clients send it for a pod.
func BenchmarkScan(b *testing.B) {
	f := newFixture(b)
	f.pod("shop/web", "10.0.0.1", endpoint.Workload{}, nil)
	f.pod("shop/db", "10.0.0.2", endpoint.Workload{}, nil)
	f.write(b, "tcp shop/web:40000 -> shop/db:5432")
	var r history.Record
	segment, err := f.history.Segment(0)
	if err != nil {
		b.Fatal(err)
	}
	segment.Record(0, &r)
	segment.Release()
	for range history.ChunkSize - 1 {
		f.append(r)
	}
	req := &observerpb.GetFlowsRequest{Whitelist: []*flowpb.FlowFilter{
		{SourcePod: []string{"shop/web"}, DestinationPort: []string{"80"}},
		{DestinationPod: []string{"shop/web"}, Verdict: []flowpb.Verdict{flowpb.Verdict_DROPPED}},
	}}
	for b.Loop() {
		if sent, err := f.get(context.Background(), req); err != nil || len(sent) > 0 {
			b.Fatal(len(sent), err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/history.ChunkSize, "ns/record")
}
