package encode

import (
	"strings"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/fovea-obs/fovea/agent/observer/lookup"
)

// Mask is the fields of flow.Flow that a client wants, each with those of its
// own that are wanted. One without any is wanted whole: so is everything where
// there is no mask, nil.
type Mask map[string]Mask

// experimentalMask is the number that the field mask had in the message
// GetFlowsRequest.Experimental before it became a field of the request.
const experimentalMask = 1

// MaskOf returns the mask of a request, in whichever of its two places. It fails
// with InvalidArgument.
func MaskOf(req *observerpb.GetFlowsRequest) (Mask, error) {
	m, field := req.GetFieldMask(), "field_mask"
	if m == nil {
		field = "experimental.field_mask"
		var err error
		if m, err = oldMask(req.GetExperimental().ProtoReflect().GetUnknown()); err != nil {
			return nil, lookup.Invalid(field, err.Error(), "a FieldMask")
		}
	}
	return newMask(field, m.GetPaths())
}

// NewMask returns the mask of these paths, as source.pod_name; without any, that
// of all fields. It fails with InvalidArgument.
func NewMask(paths ...string) (Mask, error) { return newMask("field_mask", paths) }

func newMask(field string, paths []string) (Mask, error) {
	var out Mask
	for _, path := range paths {
		if _, err := fieldmaskpb.New(&flowpb.Flow{}, path); err != nil {
			return nil, lookup.Invalid(field, path, "paths of fields of flow.Flow, as source.pod_name")
		}
		if out == nil {
			out = Mask{}
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

func (m Mask) add(path string) {
	field, rest, nested := strings.Cut(path, ".")
	below, known := m[field]
	switch {
	case !nested:
		m[field] = nil
	case known && below == nil:
		// The whole of it is wanted already.
	default:
		if below == nil {
			below = Mask{}
			m[field] = below
		}
		below.add(rest)
	}
}

// fields are the numbers below 64 of a message's fields that are wanted.
type fields uint64

func (f fields) has(number int) bool { return f>>number&1 != 0 }

// of returns which fields of a message are wanted.
func (m Mask) of(message protoreflect.ProtoMessage) fields {
	var out fields
	all := message.ProtoReflect().Descriptor().Fields()
	for i := range all.Len() {
		field := all.Get(i)
		if number := field.Number(); number < 64 && m.has(string(field.Name())) {
			out |= 1 << number
		}
	}
	return out
}

// has tells whether a field is wanted, or part of it.
func (m Mask) has(field string) bool {
	if m == nil {
		return true
	}
	_, ok := m[field]
	return ok
}

// under is the mask inside a field that is wanted.
func (m Mask) under(field string) Mask { return m[field] }
