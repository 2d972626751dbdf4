package ask

import (
	"errors"
	"fmt"
	"sync"
	"unicode/utf8"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// shape is what a kind of message looks like: what its fields that are of bytes hold, by
// their numbers. Fields that a shape does not know may hold anything.
type shape struct {
	fields [few]field
	more   map[protowire.Number]*field
}

// field is what a field holds that is of bytes. Its zero value is anything.
type field struct {
	message *shape
	text    bool
	// packed reads the next of several numbers.
	packed func([]byte) int
}

// few is how many numbers of fields a shape has in a list.
const few = 64

// response is the shape of a GetFlowsResponse.
var response = sync.OnceValue(func() *shape {
	return shapeOf((&observerpb.GetFlowsResponse{}).ProtoReflect().Descriptor(), map[protoreflect.FullName]*shape{})
})

func shapeOf(d protoreflect.MessageDescriptor, known map[protoreflect.FullName]*shape) *shape {
	if s := known[d.FullName()]; s != nil {
		return s
	}
	s := &shape{more: map[protowire.Number]*field{}}
	known[d.FullName()] = s
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		var what field
		switch f.Kind() {
		case protoreflect.MessageKind:
			what.message = shapeOf(f.Message(), known)
		case protoreflect.StringKind:
			what.text = true
		case protoreflect.BytesKind, protoreflect.GroupKind:
		case protoreflect.DoubleKind, protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind:
			what.packed = packedOf(f, func(b []byte) int { _, n := protowire.ConsumeFixed64(b); return n })
		case protoreflect.FloatKind, protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind:
			what.packed = packedOf(f, func(b []byte) int { _, n := protowire.ConsumeFixed32(b); return n })
		default:
			what.packed = packedOf(f, func(b []byte) int { _, n := protowire.ConsumeVarint(b); return n })
		}
		if n := f.Number(); n < few {
			s.fields[n] = what
		} else {
			s.more[n] = &what
		}
	}
	return s
}

// packedOf is how to read a list's numbers; others are of bytes by mistake, which is
// passed over.
func packedOf(f protoreflect.FieldDescriptor, next func([]byte) int) func([]byte) int {
	if f.IsList() {
		return next
	}
	return nil
}

// deepest is how deep messages are in each other at most, those that nobody knows not
// counted.
const deepest = 100

// check fails for bytes that a client could not read.
func (s *shape) check(b []byte, depth int) error {
	if depth > deepest {
		return errors.New("messages are too deep in each other")
	}
	for len(b) > 0 {
		tag, n := varint(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		number := protowire.Number(tag >> 3)
		if tag>>3 > uint64(protowire.MaxValidNumber) || !number.IsValid() {
			return fmt.Errorf("there is no field %d", tag>>3)
		}
		switch kind := protowire.Type(tag & 7); kind {
		case protowire.VarintType:
			_, n = varint(b)
		case protowire.BytesType:
			var size uint64
			if size, n = varint(b); n < 0 {
				break
			}
			if b = b[n:]; size > uint64(len(b)) {
				return fmt.Errorf("field %d is longer than what is left", number)
			}
			n = int(size)
			if err := s.field(number).check(b[:n], depth); err != nil {
				return fmt.Errorf("field %d: %w", number, err)
			}
		default:
			n = protowire.ConsumeFieldValue(number, kind, b)
		}
		if n < 0 {
			return fmt.Errorf("field %d: %w", number, protowire.ParseError(n))
		}
		b = b[n:]
	}
	return nil
}

// varint is protowire.ConsumeVarint, sooner for the most frequent.
func varint(b []byte) (v uint64, n int) {
	if len(b) > 0 && b[0] < 0x80 {
		return uint64(b[0]), 1
	}
	return protowire.ConsumeVarint(b)
}

func (s *shape) field(n protowire.Number) *field {
	if n < few {
		return &s.fields[n]
	}
	if f := s.more[n]; f != nil {
		return f
	}
	return &s.fields[0]
}

func (f *field) check(v []byte, depth int) error {
	switch {
	case f.text:
		if !utf8.Valid(v) {
			return errors.New("text is not in UTF-8")
		}
	case f.message != nil:
		return f.message.check(v, depth+1)
	case f.packed != nil:
		for len(v) > 0 {
			n := f.packed(v)
			if n < 0 {
				return protowire.ParseError(n)
			}
			v = v[n:]
		}
	}
	return nil
}
