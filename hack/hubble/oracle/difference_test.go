package oracle

import (
	"net/netip"
	"slices"
	"strings"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// difference is where the agent is right not to do as upstream does.
type difference struct {
	what, why string
	// applies tells whether there is something in a field, which is set, that
	// the two take differently. A filter with that is to be refused, unless
	// instead is set.
	applies func(protoreflect.FieldDescriptor, protoreflect.Value) bool
	// instead changes such a field to what upstream must be asked to judge as
	// the agent does.
	instead func(protoreflect.FieldDescriptor, protoreflect.Value)
}

// differences are all there are. One that no filter meets fails the test.
func differences() []difference {
	return []difference{
		{
			what: "a number that is no value of an enum",
			why:  "it is of a newer API or a mistake; upstream sends nothing, or with a blacklist everything",
			applies: func(d protoreflect.FieldDescriptor, v protoreflect.Value) bool {
				return d.Kind() == protoreflect.EnumKind && anyOf(v, func(v protoreflect.Value) bool {
					return d.Enum().Values().ByNumber(v.Enum()) == nil
				})
			},
		},
		{
			what: "a pod or service name with two slashes",
			why:  "a mistake, of which upstream leaves out all from the second slash on",
			applies: func(d protoreflect.FieldDescriptor, v protoreflect.Value) bool {
				return named(d, "_pod", "_service") && anyOf(v, func(v protoreflect.Value) bool {
					return strings.Count(v.String(), "/") > 1
				})
			},
		},
		{
			what: "an address that is written in another way than flows have it",
			why:  "it is that address, but upstream compares the text",
			applies: func(d protoreflect.FieldDescriptor, v protoreflect.Value) bool {
				return named(d, "_ip", "_ip_xlated") && anyOf(v, func(v protoreflect.Value) bool { return asInFlows(v.String()) != v.String() })
			},
			instead: func(_ protoreflect.FieldDescriptor, v protoreflect.Value) {
				for i := range v.List().Len() {
					v.List().Set(i, protoreflect.ValueOfString(asInFlows(v.List().Get(i).String())))
				}
			},
		},
		{
			what: "an expression that may cost any amount",
			why:  "it is a client's, and is asked for each flow",
			applies: func(d protoreflect.FieldDescriptor, v protoreflect.Value) bool {
				if !named(d, "experimental") {
					return false
				}
				e := v.Message().Interface().(*flowpb.FlowFilter_Experimental)
				return slices.ContainsFunc(e.GetCelExpression(), costly)
			},
		},
		{
			what: "an unknown field in a filter or in a message in it",
			why:  "to leave out a condition answers another question",
			applies: func(d protoreflect.FieldDescriptor, v protoreflect.Value) bool {
				return d.Kind() == protoreflect.MessageKind && anyOf(v, func(v protoreflect.Value) bool {
					return len(v.Message().GetUnknown()) > 0
				})
			},
		},
	}
}

// anyOf tells whether a test is true of any of a field's values.
func anyOf(v protoreflect.Value, test func(protoreflect.Value) bool) bool {
	l, ok := v.Interface().(protoreflect.List)
	if !ok {
		return test(v)
	}
	for i := range l.Len() {
		if test(l.Get(i)) {
			return true
		}
	}
	return false
}

func named(d protoreflect.FieldDescriptor, ends ...string) bool {
	return slices.ContainsFunc(ends, func(end string) bool { return strings.HasSuffix(string(d.Name()), end) })
}

// asInFlows returns an address as flows have it, and all else as it is.
func asInFlows(s string) string {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return a.String()
	}
	return s
}
