package cel

import (
	"errors"
	"strings"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	celgo "github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// FuzzCompile holds of any expression that it takes a bounded time, that it
// means what CEL says, and that it looks at no other fields than it names.
func FuzzCompile(f *testing.F) {
	for _, seeds := range []map[string]string{bombs(), heavy()} {
		for _, expression := range seeds {
			f.Add(expression)
		}
	}
	for _, expression := range []string{
		"true", "_flow.verdict == Verdict.DROPPED", "has(_flow.l4.TCP) && _flow.l4.TCP.destination_port == 5432u",
		"_flow.source.labels.exists(l, l.startsWith('k8s:'))", "_flow.source.workloads[0].name.matches('^w')",
		"{1: _flow.uuid}[1] == string(_flow.time) || [_flow].map(f, f.IP)[0].source > 'a'", "type(_flow) == Flow",
	} {
		f.Add(expression)
	}
	const bound = 5 * time.Second
	compiler, flow := NewCompiler(), webFlow(3)
	f.Fuzz(func(t *testing.T, expression string) {
		start := time.Now()
		defer func() {
			if took := time.Since(start); took > bound {
				t.Errorf("it took %v", took)
			}
		}()
		p, err := compiler.Compile([]string{expression})
		if err != nil {
			var e *Error
			if !errors.As(err, &e) {
				t.Fatal(err)
			}
			checkReason(t, e)
			return
		}
		got := p.Match(flow)
		if p.meter.left >= 0 && got != plainly(t, compiler, expression, flow) {
			t.Errorf("got %v, and not without limits", got)
		}
		checkFields(t, p)
		if fields := p.Fields(); fields != nil {
			if of := p.Match(only(flow, fields)); of != got {
				t.Errorf("got %v, and %v of the fields %q", got, of, fields)
			}
		}
	})
}

// plainly evaluates an expression that may be, with CEL as it is.
func plainly(t *testing.T, c *Compiler, expression string, f *flowpb.Flow) bool {
	t.Helper()
	env, err := c.env()
	if err != nil {
		t.Fatal(err)
	}
	checked, issues := env.Compile(expression)
	if issues.Err() != nil {
		t.Fatal(issues.Err())
	}
	program, err := env.Program(checked)
	if err != nil {
		t.Fatal(err)
	}
	v, _, err := program.Eval(map[string]any{variable: f})
	return err == nil && v.(types.Bool) == types.True
}

var _ celgo.Activation = (*input)(nil)

// only returns what f has in these fields.
func only(f *flowpb.Flow, paths []string) *flowpb.Flow {
	out := &flowpb.Flow{}
	for _, path := range paths {
		from, to := f.ProtoReflect(), out.ProtoReflect()
		names := strings.Split(path, ".")
		for i, name := range names {
			field := from.Descriptor().Fields().ByName(protoreflect.Name(name))
			if !from.Has(field) {
				break
			}
			if i == len(names)-1 {
				to.Set(field, from.Get(field))
			} else {
				from, to = from.Get(field).Message(), to.Mutable(field).Message()
			}
		}
	}
	return out
}
