package filter

import (
	"fmt"
	"maps"
	"slices"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/fovea-obs/fovea/agent/observer/cel"
	"github.com/fovea-obs/fovea/agent/observer/lookup"
)

// Compiler compiles the filters of requests. It is safe for concurrent use.
type Compiler struct {
	t      *lookup.Tables
	cel    *cel.Compiler
	fields map[string]fieldCompiler
}

// NewCompiler returns a compiler of filters on records with these numbers.
func NewCompiler(t *lookup.Tables) *Compiler {
	all := endpointFields()
	maps.Copy(all, columnFields())
	maps.Copy(all, absentFields())
	all["experimental"] = func(b *builder, f *flowpb.FlowFilter) error { return b.experimental(f.Experimental) }
	return &Compiler{t: t, cel: cel.NewCompiler(), fields: all}
}

// Compile compiles a request's filters. Its errors name the field at fault.
func (c *Compiler) Compile(whitelist, blacklist []*flowpb.FlowFilter) (*Plan, error) {
	if err := limit("whitelist", whitelist); err != nil {
		return nil, err
	}
	if err := limit("blacklist", blacklist); err != nil {
		return nil, err
	}
	p := &Plan{t: c.t, epoch: c.t.Epoch(), limited: len(whitelist) > 0}
	sides := map[string]*numberSet{}
	for i, f := range whitelist {
		b, err := c.build(p, sides, fmt.Sprintf("whitelist[%d]", i), f)
		if err != nil {
			return nil, err
		}
		p.allow = append(p.allow, b.clause())
		p.only = append(p.only, b.sequences...)
		p.limited = p.limited && b.byUUID
	}
	for i, f := range blacklist {
		b, err := c.build(p, sides, fmt.Sprintf("blacklist[%d]", i), f)
		if err != nil {
			return nil, err
		}
		p.deny = append(p.deny, b.clause())
	}
	slices.Sort(p.only)
	return p, nil
}

// builder turns one filter into a clause.
type builder struct {
	*Compiler
	plan *Plan
	// sides are the sets of endpoints of the request, by what is asked.
	sides map[string]*numberSet
	// path names the filter in its request, field the field that is being
	// compiled.
	path  string
	field string

	predicates []predicate
	// last are those that cost most.
	last []predicate
	// endpoints are what both sides of a flow must be, each to be asked once
	// per version.
	endpoints [2]endpointTests
	// sequences is where the flows are that are asked for byUUID.
	sequences []uint64
	byUUID    bool
}

// side of a flow.
type side int

const (
	source side = iota
	destination
)

// fieldCompiler compiles one field of a filter, which is set.
type fieldCompiler func(*builder, *flowpb.FlowFilter) error

// build compiles the filter that a request has at path. A field that is set and
// not known is an error: leaving a condition out would answer another question
// than the client's.
func (c *Compiler) build(p *Plan, sides map[string]*numberSet, path string, f *flowpb.FlowFilter) (*builder, error) {
	b := &builder{Compiler: c, plan: p, sides: sides, path: path}
	m := f.ProtoReflect()
	if err := b.unknown(path, m); err != nil {
		return nil, err
	}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if !m.Has(field) {
			continue
		}
		b.field = string(field.Name())
		compileField := c.fields[b.field]
		if compileField == nil {
			return nil, b.unsupported(path + "." + b.field)
		}
		if err := compileField(b, f); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// clause returns what was compiled, with the endpoints first: they cost least
// and leave out most.
func (c *builder) clause() clause {
	var out clause
	if tests := c.endpoints[source]; len(tests.list) > 0 {
		out = append(out, c.endpointIn(sources(), tests))
	}
	if tests := c.endpoints[destination]; len(tests.list) > 0 {
		out = append(out, c.endpointIn(destinations(), tests))
	}
	return append(append(out, c.predicates...), c.last...)
}

func (c *builder) add(p predicate) error {
	c.predicates = append(c.predicates, p)
	return nil
}

func (c *builder) addEndpoint(s side, asked string, t endpointTest) error {
	tests := &c.endpoints[s]
	tests.list = append(tests.list, t)
	tests.asked += asked + "\n"
	return nil
}

// addConstant adds a condition that is the same for all flows.
func (c *builder) addConstant(match bool) error {
	if match {
		return nil
	}
	return c.add(never())
}

func (c *builder) invalid(value, allowed string) error {
	return lookup.Invalid(c.path+"."+c.field, value, allowed)
}

func (c *builder) unsupported(field string) error {
	return status.Errorf(codes.InvalidArgument, "%s: filtering by this is not supported", field)
}

// unknown fails if a message holds fields that this API version does not have.
func (c *builder) unknown(path string, m protoreflect.Message) error {
	if number, _, n := protowire.ConsumeTag(m.GetUnknown()); n > 0 {
		return c.unsupported(fmt.Sprintf("%s: field number %d", path, number))
	}
	var err error
	m.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		below := path + "." + string(field.Name())
		switch {
		case field.Kind() != protoreflect.MessageKind:
		case field.IsList():
			for i := 0; i < v.List().Len() && err == nil; i++ {
				err = c.unknown(below, v.List().Get(i).Message())
			}
		default:
			err = c.unknown(below, v.Message())
		}
		return err == nil
	})
	return err
}
