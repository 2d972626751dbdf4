package encode

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	flowpb "github.com/cilium/cilium/api/v1/flow"

	"github.com/fovea-obs/fovea/agent/dns"
	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/engine"
	"github.com/fovea-obs/fovea/agent/fate"
	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/agent/mac"
	"github.com/fovea-obs/fovea/agent/observer/lookup"
	"github.com/fovea-obs/fovea/agent/policy"
	"github.com/fovea-obs/fovea/agent/service"
)

// fixture is tables with a few of each. Its lists hold their numbers, some of
// them of nothing.
type fixture struct {
	*lookup.Tables
	endpoints, services, names, fates, macs []uint32
}

func newFixture() *fixture {
	f := &fixture{endpoints: []uint32{0, 1, 2, 3, 9999}, services: []uint32{0, 9999}, names: []uint32{0, 9999}, fates: []uint32{0, 9999}, macs: []uint32{0, 9999}}
	endpoints := endpoint.NewTable("prod")
	f.Tables = &lookup.Tables{
		Endpoints: endpoints, Services: service.NewTable("prod", endpoints), Names: dns.NewTable(), Fates: fate.NewTable(), MACs: mac.NewTable(),
		Policies: policy.NewTable(endpoints),
		Node:     "prod/node-1.example.com", Version: "0.1.0",
		Instance: [8]byte{0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10},
		InterfaceName: func(index uint32) string {
			return map[uint32]string{7: "veth7", 8: "veth\xff8", 9: strings.Repeat("long", 100)}[index]
		},
		ReasonName: func(reason uint32) string {
			return map[uint32]string{12: "NETFILTER_DROP", 14: "IP_CSUM", 15: "IP_RPFILTER"}[reason]
		},
		Symbol: func(address uint64) string {
			return map[uint64]string{0x1000: "nft_do_chain", 0x2000: strings.Repeat("f", 300)}[address]
		},
	}
	f.fill()
	return f
}

func (f *fixture) fill() {
	for i := range 5 {
		labels := map[string]string{"app": strings.Repeat("web", 1+20*i)}
		e := endpoint.ForPod("prod", "shop", fmt.Sprintf("web-%d", i), labels, []endpoint.Workload{
			{Kind: "Deployment", Name: "web"}, {Name: "nobody"}, {},
		}[:i%4])
		e.ID = uint32(i)
		f.endpoints = append(f.endpoints, uint32(f.Endpoints.Hold(e)))
	}
	f.endpoints = append(f.endpoints, uint32(f.Endpoints.Hold(endpoint.Endpoint{Labels: []string{"", strings.Repeat("k8s:long", 5000)}})))
	frontends := map[service.Frontend]service.Name{}
	addresses := map[netip.Addr][]string{}
	var all []netip.Addr
	for i := range 5 {
		a := netip.AddrFrom4([4]byte{10, 96, 0, byte(i)})
		all = append(all, a)
		frontends[service.Frontend{Address: a}] = service.Name{Namespace: "shop", Name: fmt.Sprintf("svc-%d", i)}
		addresses[a] = []string{fmt.Sprintf("a%d.example.com", i), "b.example.com"}[:i%3]
		f.fates = append(f.fates, f.Fates.Number(fate.Fate{Reason: uint32(11 + i), Location: uint64(i) << 12}))
	}
	f.fates = append(f.fates, f.Fates.Number(fate.Fate{Location: 1 << 12}),
		f.Fates.Number(fate.Fate{Reason: 12, Location: 1 << 12, TableFull: true}),
		f.Fates.Number(fate.Fate{Source: netip.MustParseAddr("192.0.2.1")}),
		f.Fates.Number(fate.Fate{Source: netip.MustParseAddr("2001:db8:1111:2222:3333:4444:5555:6666"), Reason: 12}))
	for i := range 8 {
		f.fates = append(f.fates, f.Fates.Number(f.judged(i)))
	}
	f.macs = append(f.macs, f.MACs.Number(mac.Pair{Source: [6]byte{2, 0, 0xab, 1, 9, 0xff}, Destination: [6]byte{2, 1}}),
		f.MACs.Number(mac.Pair{Source: [6]byte{1}}), f.MACs.Number(mac.Pair{Destination: [6]byte{0, 0, 0, 0, 0, 1}}))
	f.Services.Replace(frontends)
	f.Names.Replace(addresses)
	for _, a := range all {
		f.services = append(f.services, uint32(f.Services.Lookup(a, 80, 6)))
		for _, b := range all {
			f.names = append(f.names, f.Names.Lookup(a, b))
		}
	}
}

// judged is what became of a connection between two pods that policies decide, of
// which there are more with every i.
func (f *fixture) judged(i int) fate.Fate {
	for n := range i {
		p := policy.Policy{Ref: policy.Ref{Kind: policy.Network, Namespace: "shop", Name: fmt.Sprintf("policy-%d", n)}, Subject: policy.Pods{Namespace: "shop"}}
		p.Ingress.Applies, p.Egress.Applies = true, n%2 == 1
		if i%4 == 3 {
			p.Ref = policy.Ref{Kind: policy.Admin, Name: fmt.Sprintf("policy-%d", n)}
		}
		if i%2 == 0 {
			p.Ingress.Rules = []policy.Rule{{Ports: []policy.Port{{First: 80, Last: 80}}}}
			p.Egress.Rules = p.Ingress.Rules
		}
		f.Policies.Set(p)
	}
	out := fate.Fate{
		Policy: f.Policies.Judge(policy.Query{
			Source: endpoint.Number(f.endpoints[6]), Destination: endpoint.Number(f.endpoints[7]), Protocol: 6, DestinationPort: 80,
		}),
		Egress: i%3 != 0, Ingress: i%3 != 1,
	}
	if i > 6 {
		out.Said = engine.Word{Engine: "kube-router", Policy: policy.Ref{Kind: policy.Network, Namespace: "shop", Name: "said"}}
	}
	if i > 4 {
		out.Reason, out.Location = 12, 1<<12
	}
	return out
}

// random fills the rows of a chunk.
func (f *fixture) random(r *rand.Rand, c *history.Columns, rows int) {
	for i := range rows {
		c.Time[i] = oneOf(r, 0, 1, -1, 1_999_999_999, -1_000_000_000, r.Int64(), -r.Int64(), 1_700_000_000_123_456_789)
		c.Packets[i], c.Bytes[i] = oneOf(r, 0, 1, r.Uint32()), oneOf(r, 0, 1500, r.Uint64())
		c.Src[i], c.Dst[i] = address(r), address(r)
		c.Interface[i] = oneOf[uint32](r, 0, 7, 8, 9, 10, r.Uint32())
		c.Source[i], c.Destination[i] = oneOf(r, f.endpoints...), oneOf(r, f.endpoints...)
		c.SourceService[i], c.DestinationService[i] = oneOf(r, f.services...), oneOf(r, f.services...)
		c.Fate[i], c.Names[i] = oneOf(r, f.fates...), oneOf(r, f.names...)
		c.SrcPort[i], c.DstPort[i] = oneOf(r, 0, 8, 3, 128, uint16(r.Uint32())), oneOf(r, 0, 1, 15, 16, uint16(r.Uint32()))
		c.TCPFlags[i] = uint16(r.Uint32N(1 << 9))
		c.MACs[i] = oneOf(r, f.macs...)
		c.Protocol[i] = oneOf(r, 1, 2, 6, 17, 58, 112, 132, 47, uint8(r.Uint32()))
		c.Verdict[i], c.Direction[i] = oneOf(r, 0, 1, 2, uint8(r.Uint32())), oneOf(r, 0, 1, 2, uint8(r.Uint32()))
		c.Kind[i], c.Flags[i] = oneOf(r, history.KindTrace, history.KindDrop, history.KindPolicy), history.Flags(r.Uint32N(1<<8))
	}
}

func oneOf[T any](r *rand.Rand, values ...T) T { return values[r.IntN(len(values))] }

func address(r *rand.Rand) (a [16]byte) {
	for i := range a {
		a[i] = byte(oneOf(r, 0, r.Uint32()))
	}
	if r.IntN(2) == 0 {
		copy(a[:], []byte{10: 0xff, 11: 0xff})
		clear(a[:10])
	}
	return a
}

// paths are all paths of fields of a flow.
func paths() []string {
	var out []string
	var walk func(prefix string, m protoreflect.MessageDescriptor)
	walk = func(prefix string, m protoreflect.MessageDescriptor) {
		for i := range m.Fields().Len() {
			field := m.Fields().Get(i)
			path := prefix + string(field.Name())
			out = append(out, path)
			if field.Message() != nil && !field.IsList() && !field.IsMap() {
				walk(path+".", field.Message())
			}
		}
	}
	walk("", (&flowpb.Flow{}).ProtoReflect().Descriptor())
	return out
}

func mustMask(t testing.TB, paths ...string) Mask {
	t.Helper()
	m, err := NewMask(paths...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
