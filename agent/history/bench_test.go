package history

import "testing"

func BenchmarkAppend(b *testing.B) {
	h := newHistory(b, 32)
	r := pattern(0)
	for range h.Capacity() + 2*ChunkSize {
		h.Append(&r)
	}
	b.ReportAllocs()
	for b.Loop() {
		h.Append(&r)
	}
}

// BenchmarkScan looks through a million records for those that fit in two
// columns.
func BenchmarkScan(b *testing.B) {
	const records, port, dropped = 1 << 20, 443, 2
	h := newHistory(b, records/ChunkSize+1)
	for i := range records {
		r := Record{DstPort: uint16(i % 1000), Verdict: uint8(i%7) % 3}
		h.Append(&r)
	}
	found := 0
	for b.Loop() {
		for seq := h.Oldest(); seq < h.Next(); {
			s := segment(b, h, seq)
			columns := s.Columns()
			ports, verdicts := columns.DstPort[:s.Len], columns.Verdict[:s.Len]
			for i := range ports {
				if ports[i] == port && verdicts[i] == dropped {
					found++
				}
			}
			seq = s.First + uint64(s.Len)
			s.Release()
		}
	}
	if found == 0 {
		b.Error("nothing found")
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/records, "ns/record")
}
