package cel

import (
	"fmt"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	celgo "github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
)

// Program is a compiled list of expressions, for one goroutine at a time.
type Program struct {
	programs []celgo.Program
	// once is what all expressions cost without the rounds of their loops.
	once   int
	fields fields
	meter  meter
	input  input
}

func newProgram() *Program { return &Program{fields: fields{paths: map[string]bool{}}} }

// add compiles one more expression, or says what is wrong with it.
func (p *Program) add(env *celgo.Env, expression string) (reason string) {
	checked, reason := compile(env, expression)
	if reason != "" {
		return reason
	}
	a := checked.NativeRep()
	w := &work{ast: a, steps: map[int64]int{}, joins: map[int64]bool{}}
	p.once += w.of(a.Expr())
	if w.reason != "" {
		return located(a, w.broken, w.reason)
	}
	if p.once > maxWork {
		return fmt.Sprintf("too much work for each flow: %d steps, at most %d allowed", p.once, maxWork)
	}
	options := []celgo.ProgramOption{
		celgo.CustomDecorator(p.meter.decorate(w)), celgo.OptimizeRegex(p.meter.matches()...),
	}
	program, err := env.Program(checked, append(options, celgo.EvalOptions(celgo.OptOptimize))...)
	if err != nil {
		// A part that is the same for all flows fails: timestamp("never"). It may
		// be one that is not evaluated.
		program, err = env.Program(checked, options...)
	}
	if err != nil {
		return err.Error()
	}
	p.programs = append(p.programs, program)
	p.fields.find(a.Expr())
	return ""
}

// Fields are the fields of flow.Flow that the expressions look at, sorted, as
// paths of a field mask: source.labels, l4.TCP.destination_port. A field below a
// list or a map counts as that. It is nil if an expression looks at the flow as
// a whole, and empty if none looks at it.
func (p *Program) Fields() []string { return p.fields.list() }

// Match tells whether the expressions match the flow.
func (p *Program) Match(f *flowpb.Flow) bool {
	p.meter.left = maxWork - p.once
	p.input.flow = f
	defer func() { p.input.flow = nil }()
	for _, program := range p.programs {
		v, _, err := program.Eval(&p.input)
		if err != nil {
			return false
		}
		if v == types.True {
			return true
		}
	}
	return false
}

// input is the variables of an evaluation.
type input struct{ flow *flowpb.Flow }

// ResolveName implements cel.Activation.
func (i *input) ResolveName(name string) (any, bool) {
	if name == variable {
		return i.flow, true
	}
	return nil, false
}

// Parent implements cel.Activation.
func (i *input) Parent() celgo.Activation { return nil }
