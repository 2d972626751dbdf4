package encode

import (
	"net/netip"
	"testing"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	"google.golang.org/protobuf/proto"

	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/fate"
	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/agent/policy"
	"github.com/fovea-obs/fovea/agent/service"
)

// TestReleasedNumbers gives numbers to others, of one kind at a time, and sees
// that no flow shows what they were.
func TestReleasedNumbers(t *testing.T) {
	f := newFixture()
	c := &history.Columns{}
	c.Kind[0], c.Interface[0] = history.KindDrop, 7
	c.Source[0], c.Destination[0] = f.endpoints[5], f.endpoints[5]
	c.SourceService[0], c.DestinationService[0] = f.services[4], f.services[4]
	c.Fate[0], c.Names[0] = f.fates[3], f.names[6]
	// The two sides of a flow are remembered together if they are written alike.
	masked := mustMask(t, "source", "destination.labels", "source_service", "destination_service.name")
	want, wantMasked := &reference{t: f.Tables}, &reference{f.Tables, masked}
	e, eMasked := NewFactory(f.Tables).New(nil), NewFactory(f.Tables).New(masked)
	same := func() {
		t.Helper()
		e.Renew()
		check(t, e.Flow(nil, c, 0, 1), want.response(c, 0, 1))
		eMasked.Renew()
		check(t, eMasked.Flow(nil, c, 0, 1), wantMasked.response(c, 0, 1))
	}
	same()
	before := want.response(c, 0, 1).GetFlow()
	for _, n := range f.endpoints[5:] {
		f.Endpoints.Drop(endpoint.Number(n))
	}
	f.Endpoints.Release(func(endpoint.Number) bool { return false })
	for range len(f.endpoints) {
		f.endpoints = append(f.endpoints, uint32(f.Endpoints.Hold(endpoint.ForPod("prod", "other", string(rune('a'+len(f.endpoints))), nil, nil))))
	}
	same()
	f.Services.Replace(nil)
	f.Services.Release(func(service.Number) bool { return false })
	a := netip.MustParseAddr("10.96.1.1")
	others := map[service.Frontend]service.Name{}
	for port := range uint16(5) {
		others[service.Frontend{Address: a, Port: port + 1}] = service.Name{Namespace: "other", Name: string(rune('a' + port))}
	}
	f.Services.Replace(others)
	same()
	f.Names.Release(func(uint32) bool { return false })
	f.Names.Replace(map[netip.Addr][]string{a: {"a.other"}, a.Next(): {"b.other"}})
	for _, pair := range [][2]netip.Addr{{a, {}}, {{}, a}, {a, a}, {a, a.Next()}, {a.Next(), a}, {a.Next(), {}}} {
		f.Names.Lookup(pair[0], pair[1])
	}
	same()
	f.Fates.Release(func(uint32) bool { return false })
	for reason := range uint32(16) {
		f.Fates.Number(fate.Fate{Reason: 100 + reason, Location: 0x1000})
	}
	same()
	f.Tables.InterfaceName = func(uint32) string { return "veth0" }
	same()

	after := want.response(c, 0, 1).GetFlow()
	for name, part := range map[string]func(f *flowpb.Flow) proto.Message{
		"endpoint": func(f *flowpb.Flow) proto.Message { return f.Source },
		"service":  func(f *flowpb.Flow) proto.Message { return f.SourceService },
		"names": func(f *flowpb.Flow) proto.Message {
			return &flowpb.Flow{SourceNames: f.SourceNames, DestinationNames: f.DestinationNames}
		},
		"drop":      func(f *flowpb.Flow) proto.Message { return f.Extensions },
		"interface": func(f *flowpb.Flow) proto.Message { return f.Interface },
	} {
		if proto.Equal(part(before), part(after)) {
			t.Errorf("%s: the number was not given to another", name)
		}
	}
}

// TestReleasedVerdict gives the number of a verdict to another.
func TestReleasedVerdict(t *testing.T) {
	f := newFixture()
	c := &history.Columns{}
	c.Kind[0], c.Verdict[0], c.Fate[0] = history.KindPolicy, 1, f.Fates.Number(f.judged(2))
	e, want := NewFactory(f.Tables).New(nil), &reference{t: f.Tables}
	before := want.response(c, 0, 1)
	check(t, e.Flow(nil, c, 0, 1), before)
	if len(before.GetFlow().GetIngressAllowedBy()) == 0 {
		t.Fatalf("no policy allows %v", before)
	}
	old := f.Fates.At(c.Fate[0])
	f.Fates.Release(func(uint32) bool { return false })
	f.Policies.Release(func(policy.Number) bool { return false })
	for i := 1; f.Policies.At(old.Policy) == f.Policies.At(policy.Unjudged); i++ {
		f.judged(i)
	}
	c.Fate[0] = f.Fates.Number(old)
	e.Renew()
	after := want.response(c, 0, 1)
	check(t, e.Flow(nil, c, 0, 1), after)
	if proto.Equal(before, after) {
		t.Error("the number was not given to another")
	}
}

// TestRememberedWithinChunk shows that what is known is not asked for again.
func TestRememberedWithinChunk(t *testing.T) {
	f := newFixture()
	asked := 0
	f.InterfaceName = func(uint32) string { asked++; return "veth7" }
	f.ReasonName = func(uint32) string { asked++; return "NETFILTER_DROP" }
	c := &history.Columns{}
	c.Kind[0], c.Interface[0], c.Fate[0] = history.KindDrop, 7, f.fates[3]
	e := NewFactory(f.Tables).New(nil)
	e.Renew()
	e.Flow(nil, c, 0, 1)
	if asked == 0 {
		t.Fatal("nobody asked")
	}
	asked = 0
	e.Flow(nil, c, 0, 2)
	if asked != 0 {
		t.Errorf("asked %d times again", asked)
	}
	e.Renew()
	e.Flow(nil, c, 0, 3)
	if asked != 1 {
		t.Errorf("asked %d times after Renew, want once, for the interface", asked)
	}
}

// TestMaskedIsNotAskedFor has nothing looked up that the mask leaves out.
func TestMaskedIsNotAskedFor(t *testing.T) {
	f := newFixture()
	f.InterfaceName = func(uint32) string { t.Error("asked for an interface"); return "" }
	f.ReasonName = func(uint32) string { t.Error("asked for a reason"); return "" }
	f.Symbol = func(uint64) string { t.Error("asked for a symbol"); return "" }
	c := &history.Columns{}
	c.Kind[0], c.Interface[0], c.Fate[0] = history.KindDrop, 7, f.fates[3]
	NewFactory(f.Tables).New(mustMask(t, "uuid", "interface.index")).Flow(nil, c, 0, 1)
}
