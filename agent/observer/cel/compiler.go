package cel

import (
	"fmt"
	"strings"
	"sync"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	celgo "github.com/google/cel-go/cel"
	"github.com/google/cel-go/common"
	celast "github.com/google/cel-go/common/ast"
)

// variable is the flow's name in expressions.
const variable = "_flow"

const (
	// MaxExpressions is how many expressions a list may have.
	MaxExpressions = 16
	// maxLength is the most bytes of an expression.
	maxLength = 4096
	// maxDepth is how deep an expression may be nested. The checker's time is
	// more than linear in it.
	maxDepth = 50
	// maxReason is the most bytes of an error's reason: it may name types as long
	// as the expression.
	maxReason = 300
)

// Error is what is wrong with an expression.
type Error struct {
	// Index is the expression's place in its list.
	Index int
	// Reason is one line of text.
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("expression %d: %s", e.Index, e.Reason) }

// Compiler compiles expressions. What it needs for that is made for the first
// of them, as it takes 1.5 MB. Its method is safe for concurrent use.
type Compiler struct{ env func() (*celgo.Env, error) }

// NewCompiler returns a compiler that has not made anything yet.
func NewCompiler() *Compiler { return &Compiler{env: sync.OnceValues(newEnv)} }

func newEnv() (*celgo.Env, error) {
	return celgo.NewEnv(
		celgo.Container("flow"),
		celgo.Types(&flowpb.Flow{}),
		celgo.Variable(variable, celgo.ObjectType("flow.Flow")),
		celgo.ParserRecursionLimit(maxDepth),
	)
}

// Compile compiles a list of expressions. If one of them is at fault, the error
// is an [*Error].
func (c *Compiler) Compile(expressions []string) (*Program, error) {
	if len(expressions) > MaxExpressions {
		return nil, &Error{MaxExpressions, fmt.Sprintf("one of %d expressions, at most %d allowed", len(expressions), MaxExpressions)}
	}
	env, err := c.env()
	if err != nil {
		return nil, fmt.Errorf("prepare CEL: %w", err)
	}
	p := newProgram()
	for i, e := range expressions {
		if reason := p.add(env, e); reason != "" {
			return nil, &Error{i, oneLine(reason)}
		}
	}
	return p, nil
}

// compile parses and checks an expression, or says what is wrong with it.
func compile(env *celgo.Env, expression string) (*celgo.Ast, string) {
	if len(expression) > maxLength {
		return nil, fmt.Sprintf("%d bytes long, at most %d allowed", len(expression), maxLength)
	}
	parsed, issues := env.Parse(expression)
	if issues.Err() != nil {
		return nil, first(issues)
	}
	// Before the types are checked: that of nested maps can take forever.
	if e, reason := lint(parsed.NativeRep().Expr()); reason != "" {
		return nil, located(parsed.NativeRep(), e, reason)
	}
	checked, issues := env.Check(parsed)
	if issues.Err() != nil {
		return nil, first(issues)
	}
	// By name: a wrapper, which may be null, is a bool too for IsExactType.
	if t := checked.OutputType().String(); t != "bool" {
		return nil, fmt.Sprintf("the result is %s, not bool", t)
	}
	return checked, ""
}

// first returns the first of the issues.
func first(issues *celgo.Issues) string {
	e := issues.Errors()[0]
	return at(e.Location) + e.Message
}

// located adds to a reason where in the expression e is.
func located(a *celast.AST, e celast.Expr, reason string) string {
	return at(a.SourceInfo().GetStartLocation(e.ID())) + reason
}

// at names a place in an expression: most have one line.
func at(l common.Location) string {
	switch {
	case l.Line() < 1 || l.Column() < 0:
		return ""
	case l.Line() == 1:
		return fmt.Sprintf("column %d: ", l.Column()+1)
	}
	return fmt.Sprintf("line %d, column %d: ", l.Line(), l.Column()+1)
}

func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > maxReason {
		s = strings.ToValidUTF8(s[:maxReason], "") + "…"
	}
	return s
}
