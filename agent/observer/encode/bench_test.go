package encode

import (
	"net/netip"
	"testing"

	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/agent/mac"
)

// cliMask is what the hubble CLI asks for unless it prints JSON.
func cliMask(t testing.TB) Mask {
	return mustMask(t, "time", "verdict", "ethernet", "IP", "l4", "source.identity", "source.namespace", "source.pod_name",
		"destination.identity", "destination.namespace", "destination.pod_name", "Type", "node_name", "l7", "event_type",
		"source_service", "destination_service", "is_reply", "Summary", "ip_trace_id", "traffic_direction",
		"policy_match_type", "ingress_allowed_by", "ingress_denied_by", "egress_allowed_by", "egress_denied_by")
}

// workday fills a chunk with flows of TCP between pods of a node and others.
func (f *fixture) workday(c *history.Columns) {
	var pods []uint32
	for _, name := range []string{"web-6d4cf56db6-x2x7p", "cart-58b9c8f7d-7kq2m", "db-0", "cache-7f6b8d9c5-zz8xw"} {
		pods = append(pods, uint32(f.Endpoints.Hold(endpoint.ForPod("prod", "shop", name,
			map[string]string{"app.kubernetes.io/name": name[:4], "pod-template-hash": "6d4cf56db6"},
			[]endpoint.Workload{{Kind: "Deployment", Name: name[:4]}}))))
	}
	for i := range history.ChunkSize {
		source, destination := i%len(pods), i/len(pods)%len(pods)
		c.Time[i] = 1_700_000_000_000_000_000 + int64(i)*1_234_567
		c.Packets[i], c.Bytes[i] = uint32(1+i%9), uint64(60+i*13)
		c.Src[i] = netip.AddrFrom4([4]byte{10, 1, 2, byte(100 + source)}).As16()
		c.Dst[i] = netip.AddrFrom4([4]byte{10, 1, 3, byte(100 + destination)}).As16()
		c.Interface[i] = uint32(7 + i%2)
		c.Source[i], c.Destination[i] = pods[source], pods[destination]
		c.SrcPort[i], c.DstPort[i] = uint16(32768+i*7%28000), 5432
		c.TCPFlags[i] = []uint16{0x02, 0x12, 0x18, 0x10}[i%4]
		c.MACs[i] = f.MACs.Number(mac.Pair{Source: [6]byte{2, 0, 0, 1, 2, byte(source)}, Destination: [6]byte{2, 0, 0, 1, 3, byte(destination)}})
		c.Protocol[i], c.Verdict[i], c.Direction[i] = 6, 1, 2
		c.Kind[i], c.Flags[i] = history.KindTrace, history.FlagReplyKnown|history.FlagLocal|history.FlagFromEndpoint
	}
}

func BenchmarkFlow(b *testing.B) {
	f := newFixture()
	c := &history.Columns{}
	f.workday(c)
	drops := *c
	v6 := *c
	for i := range history.ChunkSize {
		drops.Kind[i], drops.Fate[i], drops.Verdict[i] = history.KindDrop, f.fates[3], 2
		v6.Flags[i] |= history.FlagIPv6
		copy(v6.Src[i][:], []byte{0xfd, 0, 0, 0x10, 0, 2})
		copy(v6.Dst[i][:], []byte{0xfd, 0, 0, 0x10, 0, 3})
	}
	for _, bench := range []struct {
		name string
		c    *history.Columns
		mask Mask
	}{
		{"whole", c, nil},
		{"masked", c, cliMask(b)},
		{"names", c, mustMask(b, "source.pod_name", "destination.pod_name")},
		{"drop", &drops, nil},
		{"IPv6", &v6, nil},
	} {
		b.Run(bench.name, func(b *testing.B) {
			e := NewFactory(f.Tables).New(bench.mask)
			e.Renew()
			var out []byte
			var sequence uint64
			size := 0
			b.ReportAllocs()
			for b.Loop() {
				out = e.Flow(out[:0], bench.c, int(sequence%history.ChunkSize), sequence)
				size += len(out)
				sequence++
			}
			b.ReportMetric(float64(size)/float64(b.N), "B/flow")
		})
	}
}
