package oracle

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/protobuf/reflect/protoreflect"
)

func keysOf(m map[place]bool) []place { return slices.Collect(maps.Keys(m)) }

// of returns the filter there, or nil.
func (p place) of(req *observerpb.GetFlowsRequest) *flowpb.FlowFilter {
	list := req.GetWhitelist()
	if p.list == "blacklist" {
		list = req.GetBlacklist()
	}
	if p.index >= len(list) {
		return nil
	}
	return list[p.index]
}

// blame is what an error says is wrong with a request.
type blame struct {
	at    place
	field string
	// value is the text of a value, if it tells one.
	value string
	told  bool
}

// blamed reads an error's message.
func blamed(req *observerpb.GetFlowsRequest, message string) (blame, error) {
	m := regexp.MustCompile(`(?s)^(whitelist|blacklist)\[(\d+)\](?:\.([a-z0-9_]+))?[a-z_.]*: (.+)$`).FindStringSubmatch(message)
	if m == nil {
		return blame{}, fmt.Errorf("does not say where it is wrong: %q", message)
	}
	index, err := strconv.Atoi(m[2])
	b := blame{at: place{m[1], index}, field: m[3]}
	if err != nil || b.at.of(req) == nil {
		return b, fmt.Errorf("there is no such filter: %q", message)
	}
	if quoted, err := strconv.QuotedPrefix(m[4]); err == nil {
		b.told = true
		if b.value, err = strconv.Unquote(quoted); err != nil {
			return b, fmt.Errorf("read the value in %q: %w", message, err)
		}
	}
	return b, nil
}

// guilty returns nil if a filter of nothing but what is blamed is not valid
// either, and an error if it would be, or if there is no such thing in f.
func (j *judge) guilty(ctx context.Context, f *flowpb.FlowFilter, b blame) error {
	alone := &flowpb.FlowFilter{}
	if b.field == "" {
		alone.ProtoReflect().SetUnknown(f.ProtoReflect().GetUnknown())
	}
	has := b.field == ""
	eachField(f, func(d protoreflect.FieldDescriptor, v protoreflect.Value) {
		if string(d.Name()) == b.field {
			if b.told && d.IsList() && d.Kind() != protoreflect.MessageKind {
				v = only(alone, d, v, b.value)
			}
			has = true
			alone.ProtoReflect().Set(d, v)
		}
	})
	if types := f.GetEventType(); strings.HasPrefix(b.field, "http_") && b.value == "event_type without l7" {
		// Not a value of the field, but what it is not valid with.
		alone = &flowpb.FlowFilter{EventType: types, HttpMethod: []string{"GET"}}
	}
	if !has {
		return fmt.Errorf("refused for %s, which is not set", b.field)
	}
	if _, ok := j.build(ctx, alone); ok {
		return fmt.Errorf("refused for %s %q, but %v is valid", b.field, b.value, alone)
	}
	return nil
}

// only returns a field's values with this text.
func only(f *flowpb.FlowFilter, d protoreflect.FieldDescriptor, v protoreflect.Value, text string) protoreflect.Value {
	out := f.ProtoReflect().NewField(d)
	for i := range v.List().Len() {
		if one := v.List().Get(i); fmt.Sprint(one.Interface()) == text {
			out.List().Append(one)
		}
	}
	return out
}
