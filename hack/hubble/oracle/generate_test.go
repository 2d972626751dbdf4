package oracle

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// generator makes up filters.
type generator struct {
	*rand.Rand
	u *universe
	// near are flows to have in mind, flow is the one for now.
	near []*flowpb.Flow
	flow *flowpb.Flow
	// wrong is how often a value is one that may be invalid, of 1.
	wrong float64

	fields map[string]fieldGenerator
	names  []string
}

// fieldGenerator sets one field of a filter.
type fieldGenerator func(*generator, *flowpb.FlowFilter)

func newGenerator(r *rand.Rand, u *universe, near []*flowpb.Flow) *generator {
	fields := endpointFields()
	maps.Copy(fields, packetFields())
	maps.Copy(fields, otherFields())
	return &generator{Rand: r, u: u, near: near, fields: fields, names: keys(fields)}
}

// only makes a filter of these fields.
func (g *generator) only(names ...string) *flowpb.FlowFilter {
	g.flow = oneOf(g.Rand, g.near)
	f := &flowpb.FlowFilter{}
	for _, name := range names {
		g.fields[name](g, f)
	}
	if chance(g.Rand, g.wrong/4) {
		g.addUnknown(f)
	}
	return f
}

// filter makes one of any fields, mostly two, on the same flow.
func (g *generator) filter() *flowpb.FlowFilter {
	var names []string
	for range g.IntN(3) + g.IntN(3) {
		names = append(names, oneOf(g.Rand, g.names))
	}
	return g.only(names...)
}

func (g *generator) filters(most int) []*flowpb.FlowFilter {
	var out []*flowpb.FlowFilter
	for range g.IntN(most + 1) {
		out = append(out, g.filter())
	}
	return out
}

// addUnknown adds a field that the API does not have, to the filter or to a
// message in it.
func (g *generator) addUnknown(f *flowpb.FlowFilter) {
	at := []protoreflect.Message{f.ProtoReflect()}
	eachField(f, func(d protoreflect.FieldDescriptor, v protoreflect.Value) {
		switch {
		case d.Kind() != protoreflect.MessageKind:
		case d.IsList():
			for i := range v.List().Len() {
				at = append(at, v.List().Get(i).Message())
			}
		default:
			at = append(at, v.Message())
		}
	})
	oneOf(g.Rand, at).SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 4242, protowire.VarintType), 1))
}

// eachField goes through the fields that are set, in the order of the API.
func eachField(f *flowpb.FlowFilter, do func(protoreflect.FieldDescriptor, protoreflect.Value)) {
	m := f.ProtoReflect()
	for i := range m.Descriptor().Fields().Len() {
		if d := m.Descriptor().Fields().Get(i); m.Has(d) {
			do(d, m.Get(d))
		}
	}
}

// count is how many values a field gets, mostly one.
func (g *generator) count() int { return 1 + g.IntN(2)*g.IntN(3) }

// texts makes the values of a field: those that like makes, now and then with
// some letter changed, and now and then one of bad.
func (g *generator) texts(like func() string, bad ...string) []string {
	var out []string
	for range g.count() {
		switch v := like(); {
		case len(bad) > 0 && chance(g.Rand, g.wrong):
			out = append(out, oneOf(g.Rand, bad))
		case chance(g.Rand, g.wrong):
			out = append(out, g.mutate(v))
		default:
			out = append(out, v)
		}
	}
	return out
}

// mutate changes, adds or removes a letter.
func (g *generator) mutate(s string) string {
	letters := []rune("aAz09 .:,;/|=!*+-_()[]{}<>?%$\\^\t\n\"'ä\u00a0")
	out := []rune(s)
	i := g.IntN(len(out) + 1)
	switch {
	case i < len(out) && chance(g.Rand, 0.3):
		out = slices.Delete(out, i, i+1)
	case i < len(out) && chance(g.Rand, 0.5):
		out[i] = oneOf(g.Rand, letters)
	default:
		out = slices.Insert(out, i, oneOf(g.Rand, letters))
	}
	return string(out)
}

// part is a piece of s from its begin on.
func (g *generator) part(s string) string { return s[:g.IntN(len(s)+1)] }

// numbers makes the values of an enum's field, now and then one that is none of
// the enum's.
func numbers[T ~int32](g *generator, near T, names map[int32]string) []T {
	var out []T
	for range g.count() {
		switch {
		case chance(g.Rand, g.wrong):
			// Some that are, when cut to a byte.
			out = append(out, oneOf(g.Rand, []T{-1, 1 << 30, 99, 256, 257, 258, 131}))
		case chance(g.Rand, 0.5):
			out = append(out, near)
		default:
			out = append(out, T(oneOf(g.Rand, keys(names))))
		}
	}
	return out
}

// TestGenerators fails when the API has a new field.
func TestGenerators(t *testing.T) {
	var want []string
	fields := (&flowpb.FlowFilter{}).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		want = append(want, string(fields.Get(i).Name()))
	}
	slices.Sort(want)
	if got := newGenerator(nil, nil, nil).names; !slices.Equal(got, want) {
		t.Errorf("fields that filters are made of:\n%q\nfields there are:\n%q", got, want)
	}
}
