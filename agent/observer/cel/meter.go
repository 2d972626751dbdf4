package cel

import (
	"regexp"

	"github.com/google/cel-go/common/overloads"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/interpreter"
	"github.com/google/cel-go/parser"
)

// maxWork is how many steps an evaluation of a list of expressions may take.
const maxWork = 5000

// accumulator is the name of a macro's own result, which cannot be written.
const accumulator = parser.HiddenAccumulatorName

// textStep is how many bytes can be copied in a step.
const textStep = 16

// meter counts down the steps of an evaluation.
type meter struct{ left int }

// spend ends the evaluation if there are not so many steps left: by the panic
// that the interpreter has for it, as an error could be caught by a ||.
func (m *meter) spend(steps int) {
	if m.left -= steps; m.left < 0 {
		panic(interpreter.EvalCancelledError{
			Cause: interpreter.CostLimitExceeded, Message: "the expression takes too many steps",
		})
	}
}

// decorate has the loops and joins of w pay.
func (m *meter) decorate(w *work) interpreter.InterpretableDecorator {
	return func(i interpreter.Interpretable) (interpreter.Interpretable, error) {
		switch i.(type) {
		case *step, *join:
			return i, nil
		}
		if cost, ok := w.steps[i.ID()]; ok {
			return &step{i, m, cost}, nil
		}
		if w.joins[i.ID()] {
			return &join{i, m}, nil
		}
		return i, nil
	}
}

// step is what a loop evaluates in each round.
type step struct {
	interpreter.Interpretable
	meter *meter
	cost  int
}

// Eval implements interpreter.Interpretable.
func (s *step) Eval(vars interpreter.Activation) ref.Val {
	s.meter.spend(s.cost)
	return s.Interpretable.Eval(vars)
}

// join makes one value of two.
type join struct {
	interpreter.Interpretable
	meter *meter
}

// Eval implements interpreter.Interpretable.
func (j *join) Eval(vars interpreter.Activation) ref.Val {
	v := j.Interpretable.Eval(vars)
	switch s := v.(type) {
	case types.String:
		j.meter.spend(len(s) / textStep)
	case types.Bytes:
		j.meter.spend(len(s) / textStep)
	case traits.Lister:
		n, _ := s.Size().(types.Int)
		j.meter.spend(int(n))
	}
	return v
}

// matches has the calls of matches pay, of which there are two overloads.
func (m *meter) matches() []*interpreter.RegexOptimization {
	var list []*interpreter.RegexOptimization
	for _, overload := range []string{overloads.Matches, overloads.MatchesString} {
		list = append(list, &interpreter.RegexOptimization{
			Function: overloads.Matches, OverloadID: overload, RegexIndex: 1, Factory: m.match,
		})
	}
	return list
}

// match replaces a call of matches whose pattern is a literal: all are.
func (m *meter) match(call interpreter.InterpretableCall, pattern string) (interpreter.InterpretableCall, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	n, err := effort(pattern)
	if err != nil {
		return nil, err
	}
	return interpreter.NewCall(call.ID(), call.Function(), call.OverloadID(), call.Args(), func(values ...ref.Val) ref.Val {
		text, ok := values[0].(types.String)
		if !ok {
			return types.MaybeNoSuchOverloadErr(values[0])
		}
		m.spend(len(text) * n / stepParts)
		return types.Bool(re.MatchString(string(text)))
	}), nil
}
