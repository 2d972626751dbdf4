package observer

import (
	"fmt"
	"maps"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/fovea-obs/fovea/agent/history"
)

// compiler turns one filter into a clause.
type compiler struct {
	s *Server
	// path names the filter in its request, field the field that is being
	// compiled.
	path  string
	field string

	predicates []predicate
	// endpoints are what both sides of a flow must be, each to be asked once
	// per version.
	endpoints [2][]endpointTest
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
type fieldCompiler func(*compiler, *flowpb.FlowFilter) error

// fieldCompilers are those of all fields of FlowFilter.
func fieldCompilers() map[string]fieldCompiler {
	all := endpointFields()
	maps.Copy(all, columnFields())
	maps.Copy(all, absentFields())
	return all
}

// compile compiles the filter that a request has at path. A field that is set
// and not known is an error: leaving a condition out would answer another
// question than the client's.
func compile(s *Server, path string, f *flowpb.FlowFilter) (*compiler, error) {
	c := &compiler{s: s, path: path}
	m := f.ProtoReflect()
	if err := c.unknown(path, m); err != nil {
		return nil, err
	}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if !m.Has(field) {
			continue
		}
		c.field = string(field.Name())
		compileField := s.compilers[c.field]
		if compileField == nil {
			return nil, c.unsupported(path + "." + c.field)
		}
		if err := compileField(c, f); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// clause returns what was compiled, with the endpoints first: they cost least
// and leave out most.
func (c *compiler) clause() clause {
	var out clause
	table := c.s.c.Endpoints
	if tests := c.endpoints[source]; len(tests) > 0 {
		out = append(out, numberIn(sourceNumbers, newEndpointSet(table, tests)))
	}
	if tests := c.endpoints[destination]; len(tests) > 0 {
		out = append(out, numberIn(destinationNumbers, newEndpointSet(table, tests)))
	}
	return append(out, c.predicates...)
}

func sourceNumbers(c *history.Columns) *[history.ChunkSize]uint32      { return &c.Source }
func destinationNumbers(c *history.Columns) *[history.ChunkSize]uint32 { return &c.Destination }

func (c *compiler) add(p predicate) error {
	c.predicates = append(c.predicates, p)
	return nil
}

func (c *compiler) addEndpoint(s side, t endpointTest) error {
	c.endpoints[s] = append(c.endpoints[s], t)
	return nil
}

// addConstant adds a condition that is the same for all flows.
func (c *compiler) addConstant(match bool) error {
	if match {
		return nil
	}
	return c.add(never)
}

func (c *compiler) invalid(value, allowed string) error {
	return invalid(c.path+"."+c.field, value, allowed)
}

func (c *compiler) unsupported(field string) error {
	return status.Errorf(codes.InvalidArgument, "%s: filtering by this is not supported", field)
}

// unknown fails if a message holds fields that this API version does not have.
func (c *compiler) unknown(path string, m protoreflect.Message) error {
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
