package observer

import (
	"maps"
	"strings"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
)

// mask is the fields of a message that a client wants, each with those of its
// own that are wanted. One without any is wanted whole: so is everything where
// there is no mask.
type mask map[string]mask

// experimentalMask is the number that the field mask had in the message
// GetFlowsRequest.Experimental before it became a field of the request.
const experimentalMask = 1

// maskOf returns the mask of a request, in whichever of its two places.
func maskOf(req *observerpb.GetFlowsRequest) (mask, error) {
	m := req.GetFieldMask()
	if m == nil {
		var err error
		if m, err = oldMask(req.GetExperimental().ProtoReflect().GetUnknown()); err != nil {
			return nil, invalid("experimental.field_mask", err.Error(), "a FieldMask")
		}
	}
	var out mask
	for _, path := range m.GetPaths() {
		if _, err := fieldmaskpb.New(&flowpb.Flow{}, path); err != nil {
			return nil, invalid("field_mask", path, "paths of fields of flow.Flow, as source.pod_name")
		}
		if out == nil {
			out = mask{}
		}
		out.add(path)
	}
	return out, nil
}

// oldMask finds the field mask in what is unknown of Experimental.
func oldMask(unknown protoreflect.RawFields) (*fieldmaskpb.FieldMask, error) {
	var m *fieldmaskpb.FieldMask
	for b := []byte(unknown); len(b) > 0; {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		size := protowire.ConsumeFieldValue(number, kind, b[n:])
		if size < 0 {
			return nil, protowire.ParseError(size)
		}
		if number == experimentalMask && kind == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(b[n:])
			m = &fieldmaskpb.FieldMask{}
			if err := proto.Unmarshal(value, m); err != nil {
				return nil, err
			}
		}
		b = b[n+size:]
	}
	return m, nil
}

func (m mask) add(path string) {
	field, rest, nested := strings.Cut(path, ".")
	below, known := m[field]
	switch {
	case !nested:
		m[field] = nil
	case known && below == nil:
		// The whole of it is wanted already.
	default:
		if below == nil {
			below = mask{}
			m[field] = below
		}
		below.add(rest)
	}
}

// has tells whether a field is wanted, or part of it.
func (m mask) has(field string) bool {
	if m == nil {
		return true
	}
	_, ok := m[field]
	return ok
}

// under is the mask of a field that is wanted.
func (m mask) under(field string) mask { return m[field] }

// within returns what there is of the mask inside fields, other than these: the
// mask, with these wanted whole, or nil if all fields are wanted whole or not
// at all.
func (m mask) within(except ...string) mask {
	out := maps.Clone(m)
	for _, f := range except {
		if _, ok := out[f]; ok {
			out[f] = nil
		}
	}
	for _, below := range out {
		if below != nil {
			return out
		}
	}
	return nil
}

// prune clears what is not wanted.
func (m mask) prune(msg proto.Message) { m.clear(msg.ProtoReflect()) }

func (m mask) clear(msg protoreflect.Message) {
	if m == nil {
		return
	}
	msg.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch below, ok := m[string(field.Name())]; {
		case !ok:
			msg.Clear(field)
		case below != nil:
			below.clear(v.Message())
		}
		return true
	})
}
