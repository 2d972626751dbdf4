package cel

import (
	"slices"

	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/overloads"
	"github.com/google/cel-go/common/types"
)

// What parts of an expression cost, in steps: as measured, and rounded up.
const (
	workCall    = 2
	workSelect  = 5
	workLoop    = 10
	workList    = 4
	workConvert = 20
	// workIn and workMany are to look through a list as long as those of a flow
	// may be, and to compare two.
	workIn, workMany = 100, 200
	// workMessage is to compare or copy a whole message.
	workMessage = 300
	// workZone is to read a time zone from its file.
	workZone = 800
)

// work finds what a checked expression costs.
type work struct {
	ast *celast.AST
	// steps are the costs of a round of each loop, by the number of the
	// expression that is evaluated in each round.
	steps map[int64]int
	// joins are the numbers of the expressions that make a value which can be
	// larger than all in the expression and the flow.
	joins map[int64]bool
	// broken is the first part that breaks a rule.
	broken celast.Expr
	reason string
}

// of returns the cost of e, without the rounds of its loops.
func (w *work) of(e celast.Expr) int {
	n := w.node(e)
	if w.kind(e) == types.StructKind {
		n += workMessage
	}
	return n
}

func (w *work) kind(e celast.Expr) types.Kind { return w.ast.GetType(e.ID()).Kind() }

// node is of, of an expression whose value is not used as a whole.
func (w *work) node(e celast.Expr) int {
	switch e.Kind() {
	case celast.SelectKind:
		return workSelect + w.node(e.AsSelect().Operand())
	case celast.ComprehensionKind:
		return w.loop(e.AsComprehension())
	}
	n := 1
	for _, c := range children(e) {
		n += w.of(c)
	}
	switch e.Kind() {
	case celast.CallKind:
		n += w.call(e)
	case celast.ListKind, celast.MapKind:
		n += workList
	case celast.StructKind:
		n += workMessage
	}
	return n
}

func (w *work) loop(c celast.ComprehensionExpr) int {
	if r := w.ast.GetType(c.IterRange().ID()); !plain(r) && w.reason == "" {
		w.broken, w.reason = c.IterRange(), "a loop over "+r.String()+", not over plain values or messages"
	}
	w.steps[c.LoopStep().ID()] = w.of(c.LoopCondition()) + w.of(c.LoopStep())
	return workLoop + w.of(c.IterRange()) + w.of(c.AccuInit()) + w.of(c.Result())
}

// plain tells whether what a loop over values of type t has for a variable has
// no parts, or only those of a message.
func plain(t *types.Type) bool {
	if t.Kind() != types.ListKind && t.Kind() != types.MapKind {
		return false
	}
	switch t.Parameters()[0].Kind() {
	case types.BoolKind, types.BytesKind, types.DoubleKind, types.DurationKind, types.IntKind, types.NullTypeKind,
		types.StringKind, types.StructKind, types.TimestampKind, types.UintKind:
		return true
	}
	return false
}

// call returns what a call costs on top of its arguments.
func (w *work) call(e celast.Expr) int {
	c := e.AsCall()
	n, args, name := workCall, c.Args(), c.FunctionName()
	switch {
	case name == operators.Equals, name == operators.NotEquals:
		if w.many(args[0]) || w.many(args[1]) {
			n += workMany
		}
	case name == operators.In && args[1].Kind() != celast.ListKind:
		n += workIn
	case name == operators.Add:
		// The macros add to their own result, in place.
		own := args[0].Kind() == celast.IdentKind && args[0].AsIdent() == accumulator
		k := w.kind(e)
		w.joins[e.ID()] = !own && (k == types.StringKind || k == types.BytesKind || w.many(e))
	case name == operators.Index:
		n += workSelect
	case isTime(name) && len(args) > 0:
		n += workZone
	case isTime(name), overloads.IsTypeConversionFunction(name):
		n += workConvert
	}
	return n
}

// many tells whether the value of e may have elements.
func (w *work) many(e celast.Expr) bool {
	switch w.kind(e) {
	case types.ListKind, types.MapKind, types.DynKind, types.AnyKind:
		return true
	}
	return false
}

// isTime tells whether a function gives a part of a time.
func isTime(function string) bool {
	return slices.Contains([]string{
		overloads.TimeGetFullYear, overloads.TimeGetMonth, overloads.TimeGetDayOfYear, overloads.TimeGetDate,
		overloads.TimeGetDayOfMonth, overloads.TimeGetDayOfWeek, overloads.TimeGetHours, overloads.TimeGetMinutes,
		overloads.TimeGetSeconds, overloads.TimeGetMilliseconds,
	}, function)
}
