package encode

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/fovea-obs/fovea/agent/history"
)

// check holds bytes against the message that they should be.
func check(t *testing.T, got []byte, want proto.Message) {
	t.Helper()
	message := want.ProtoReflect().New().Interface()
	if err := proto.Unmarshal(got, message); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(want, message) {
		t.Fatal(cmp.Diff(want, message, protocmp.Transform()))
	}
	same, err := proto.MarshalOptions{Deterministic: true}.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(same, got) {
		t.Fatalf("of %v:\n%x, as proto.Marshal has\n%x", want, got, same)
	}
}

// TestFlow encodes random records with random masks.
func TestFlow(t *testing.T) {
	f, all := newFixture(), paths()
	c := &history.Columns{}
	r := rand.New(rand.NewPCG(1, 2))
	const rows = 16
	for i := range 400 {
		var list []string
		for range min(i, r.IntN(8)) {
			list = append(list, oneOf(r, all...))
		}
		mask := mustMask(t, list...)
		f.random(r, c, rows)
		e, want := NewFactory(f.Tables).New(mask), &reference{f.Tables, mask}
		e.Renew()
		var b []byte
		for row := range rows {
			sequence := r.Uint64() >> r.IntN(64)
			w := want.response(c, row, sequence)
			b = append(b[:0], "kept"...)
			b = e.Flow(b, c, row, sequence)
			if string(b[:4]) != "kept" {
				t.Fatal("what was there is gone")
			}
			check(t, b[4:], w)
			check(t, e.Message(nil, c, row, sequence), w.GetFlow())
		}
	}
}

// TestEachPath asks for one path at a time, and for each field some record has.
func TestEachPath(t *testing.T) {
	f := newFixture()
	c := &history.Columns{}
	const rows = 48
	f.random(rand.New(rand.NewPCG(3, 4)), c, rows)
	seen := numbers{}
	for _, path := range paths() {
		mask := mustMask(t, path)
		e, want := NewFactory(f.Tables).New(mask), &reference{f.Tables, mask}
		for row := range rows {
			flow := want.response(c, row, 1).GetFlow()
			check(t, e.Message(nil, c, row, 1), flow)
			flow.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
				seen[field.Name()] = int(field.Number())
				return true
			})
		}
	}
	if diff := cmp.Diff(flowNumbers(), seen); diff != "" {
		t.Error(diff)
	}
}

// TestNothing has masks of our own that ask for nothing.
func TestNothing(t *testing.T) {
	f := newFixture()
	c := &history.Columns{}
	f.random(rand.New(rand.NewPCG(5, 6)), c, 1)
	for _, mask := range []Mask{{}, {"source": {}, "IP": {}, "time": {}, "l4": {"TCP": {}}}} {
		check(t, NewFactory(f.Tables).New(mask).Flow(nil, c, 0, 1), (&reference{f.Tables, mask}).response(c, 0, 1))
	}
}

// TestSizes has flows whose length takes one to three bytes.
func TestSizes(t *testing.T) {
	f := newFixture()
	c := &history.Columns{}
	long := f.endpoints[len(f.endpoints)-1]
	for _, mask := range []Mask{nil, mustMask(t, "source"), mustMask(t, "verdict")} {
		e, want := NewFactory(f.Tables).New(mask), &reference{f.Tables, mask}
		for row, source := range []uint32{0, 5, long} {
			c.Source[row], c.Kind[row] = source, history.KindTrace
			check(t, e.Flow(nil, c, row, 1), want.response(c, row, 1))
		}
	}
}

func TestLost(t *testing.T) {
	f := newFixture()
	e, want := NewFactory(f.Tables).New(mustMask(t, "uuid")), &reference{t: f.Tables}
	for _, events := range []uint64{0, 1, math.MaxUint64} {
		for _, cpu := range []int{-1, 0, 1, 255, math.MaxUint16} {
			for _, at := range []int64{0, -1, 1_700_000_000_123_456_789} {
				for source := range flowpb.LostEventSource_name {
					s := flowpb.LostEventSource(source)
					check(t, e.Lost(nil, s, events, cpu, at), want.lost(s, events, cpu, at))
				}
			}
		}
	}
}

// TestNodeWithoutName leaves out what is empty.
func TestNodeWithoutName(t *testing.T) {
	f := newFixture()
	f.Node, f.Version = "", ""
	c := &history.Columns{}
	check(t, NewFactory(f.Tables).New(nil).Flow(nil, c, 0, 1), (&reference{t: f.Tables}).response(c, 0, 1))
}

// TestAllocations has none once all numbers were seen.
func TestAllocations(t *testing.T) {
	f := newFixture()
	c := &history.Columns{}
	const rows = 16
	f.random(rand.New(rand.NewPCG(7, 8)), c, rows)
	e := NewFactory(f.Tables).New(nil)
	var b []byte
	pass := func() {
		for row := range rows {
			b = e.Flow(b[:0], c, row, 1)
		}
	}
	for range 20 {
		pass()
	}
	if n := testing.AllocsPerRun(100, pass); n > 0 {
		t.Errorf("%v allocations for %d flows", n, rows)
	}
}
