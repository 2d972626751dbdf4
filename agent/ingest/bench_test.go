package ingest

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/bpf"
)

// BenchmarkEvent names the ends of events among a hundred local and a thousand
// other endpoints; one in four goes to a service.
func BenchmarkEvent(b *testing.B) {
	in := newIngest(b)
	var err error
	if in.History, err = history.New(32 << 20); err != nil {
		b.Fatal(err)
	}
	for i := range 1100 {
		name := fmt.Sprint("pod-", i)
		binding := endpoint.Binding{
			Endpoint:  endpoint.ForPod("prod", "shop", name, map[string]string{"app": name}, nil),
			Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 2, byte(i / 100), byte(i % 100)})},
		}
		if i < 100 {
			binding.Interface = "veth-" + name
			in.Endpoints.LinkUp(uint32(100+i), binding.Interface)
		}
		in.Endpoints.Set(name, binding, 0)
	}
	var events []*bpf.FoveaEvent
	for i := range 4096 {
		dst := fmt.Sprintf("10.2.%d.%d:80", i%11, i%97)
		if i%4 == 0 {
			dst = "10.96.0.1:80"
		}
		events = append(events, eventOf(fmt.Sprintf("10.2.0.%d:%d", i%100, i), dst, uint32(100+i%100), local|from))
	}
	for i := range in.History.Capacity() + 2*history.ChunkSize {
		in.Event(events[i%4096], int64(i))
	}
	b.ReportAllocs()
	n, at := 0, second(1)
	for b.Loop() {
		in.Event(events[n&4095], at)
		n++
		at++
	}
}
