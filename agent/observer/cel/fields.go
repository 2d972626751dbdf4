package cel

import (
	"maps"
	"slices"
	"strings"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	celast "github.com/google/cel-go/common/ast"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// fields are those of a flow that expressions look at.
type fields struct {
	paths map[string]bool
	whole bool
}

// find adds those that a checked expression looks at.
func (f *fields) find(e celast.Expr) {
	switch e.Kind() {
	case celast.IdentKind:
		f.whole = f.whole || isFlow(e)
	case celast.SelectKind:
		if names, ok := selected(e); ok {
			f.add(names)
			return
		}
	case celast.ComprehensionKind:
		// Which of the two the name means is not worth to find out.
		f.whole = f.whole || e.AsComprehension().IterVar() == variable
	}
	for _, c := range children(e) {
		f.find(c)
	}
}

func isFlow(e celast.Expr) bool {
	return e.Kind() == celast.IdentKind && strings.TrimPrefix(e.AsIdent(), ".") == variable
}

// selected returns the names by which e selects from the flow, if it does.
func selected(e celast.Expr) (names []string, ok bool) {
	for e.Kind() == celast.SelectKind {
		names = append(names, e.AsSelect().FieldName())
		e = e.AsSelect().Operand()
	}
	slices.Reverse(names)
	return names, isFlow(e)
}

// add adds the field of these names, down to where a field mask can name it.
func (f *fields) add(names []string) {
	message := (&flowpb.Flow{}).ProtoReflect().Descriptor()
	for i, name := range names {
		field := message.Fields().ByName(protoreflect.Name(name))
		if field == nil {
			f.whole = true
			return
		}
		below := field.Message()
		if i == len(names)-1 || below == nil || field.IsList() || field.IsMap() || below.ParentFile().Package() != message.ParentFile().Package() {
			f.paths[strings.Join(names[:i+1], ".")] = true
			return
		}
		message = below
	}
}

// list returns the paths without those that others cover.
func (f *fields) list() []string {
	if f.whole {
		return nil
	}
	list := []string{}
	for _, path := range slices.Sorted(maps.Keys(f.paths)) {
		if last := len(list) - 1; last < 0 || !strings.HasPrefix(path, list[last]+".") {
			list = append(list, path)
		}
	}
	return list
}
