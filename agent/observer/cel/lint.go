package cel

import (
	"fmt"
	"regexp/syntax"

	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/overloads"
	"github.com/google/cel-go/common/types"
)

// stepParts is how many parts a step is divided into for regular expressions.
const stepParts = 8

// maxPattern is the most effort that a regular expression may be.
const maxPattern = 100 * stepParts

// lint returns the first part of a parsed expression that breaks a rule that
// needs no types, and the rule; see the package's documentation.
func lint(root celast.Expr) (broken celast.Expr, reason string) {
	var l linter
	celast.PreOrderVisit(root, celast.NewExprVisitor(l.visit))
	if l.reason == "" && l.loop && l.message != nil {
		return l.message, "a message is made in an expression with a loop (all, exists, exists_one, map, filter)"
	}
	return l.broken, l.reason
}

type linter struct {
	loop            bool
	message, broken celast.Expr
	reason          string
}

func (l *linter) visit(e celast.Expr) {
	switch e.Kind() {
	case celast.ComprehensionKind:
		l.loop = true
	case celast.StructKind:
		l.message = e
	case celast.MapKind:
		// The type of a map has two parts. If both could be that of a variable,
		// types would double with each loop.
		for _, entry := range e.AsMap().Entries() {
			if key := entry.AsMapEntry().Key(); key.Kind() != celast.LiteralKind {
				l.wrong(key, "the key of a map is not a literal")
			}
		}
	case celast.CallKind:
		if c := e.AsCall(); c.FunctionName() == overloads.Matches {
			l.pattern(e, c)
		}
	}
}

func (l *linter) wrong(e celast.Expr, reason string) {
	if l.reason == "" {
		l.broken, l.reason = e, reason
	}
}

// pattern checks the last argument of matches.
func (l *linter) pattern(e celast.Expr, c celast.CallExpr) {
	if len(c.Args()) == 0 {
		return // for the checker to tell
	}
	arg := c.Args()[len(c.Args())-1]
	var text types.String
	if arg.Kind() == celast.LiteralKind {
		text, _ = arg.AsLiteral().(types.String)
	} else {
		l.wrong(arg, "the pattern of matches() is not a literal")
	}
	switch n, err := effort(string(text)); {
	case err != nil:
		l.wrong(arg, "not a regular expression (RE2): "+err.Error())
	case n > maxPattern:
		l.wrong(arg, fmt.Sprintf("too large a regular expression: %d steps for each byte of a text, at most %d allowed",
			n/stepParts, maxPattern/stepParts))
	}
}

// effort returns how much work a regular expression is for each byte of a text,
// in eighths of a step. Repetitions are counted, not made: there may be millions.
func effort(pattern string) (int, error) {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0, err
	}
	return stepParts + effortOf(re), nil
}

func effortOf(re *syntax.Regexp) int {
	n := 1
	for _, sub := range re.Sub {
		n += effortOf(sub)
	}
	switch re.Op {
	case syntax.OpLiteral:
		n = len(re.Rune)
	case syntax.OpStar, syntax.OpPlus, syntax.OpQuest:
		n += stepParts
	case syntax.OpAlternate:
		n += stepParts * (len(re.Sub) - 1)
	case syntax.OpRepeat:
		n = (n + stepParts) * max(re.Min, re.Max, 1)
	}
	return n
}

// children returns what an expression is made of.
func children(e celast.Expr) []celast.Expr {
	switch e.Kind() {
	case celast.SelectKind:
		return []celast.Expr{e.AsSelect().Operand()}
	case celast.CallKind:
		c := e.AsCall()
		if c.IsMemberFunction() {
			return append([]celast.Expr{c.Target()}, c.Args()...)
		}
		return c.Args()
	case celast.ListKind:
		return e.AsList().Elements()
	case celast.MapKind:
		var list []celast.Expr
		for _, entry := range e.AsMap().Entries() {
			list = append(list, entry.AsMapEntry().Key(), entry.AsMapEntry().Value())
		}
		return list
	case celast.StructKind:
		var list []celast.Expr
		for _, field := range e.AsStruct().Fields() {
			list = append(list, field.AsStructField().Value())
		}
		return list
	case celast.ComprehensionKind:
		c := e.AsComprehension()
		return []celast.Expr{c.IterRange(), c.AccuInit(), c.LoopCondition(), c.LoopStep(), c.Result()}
	}
	return nil
}
