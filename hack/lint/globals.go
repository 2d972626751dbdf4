package main

import (
	"go/ast"
	"go/token"
	"go/types"
	"strings"

	"golang.org/x/tools/go/packages"
)

const whyGlobal = "no global state: ten agents must run in one process"

// globals checks that p has no init function, that it does not end the process
// unless it is a command, and that it changes no package-level variable, its
// own or another's of ours. A variable counts as changed if it is assigned to,
// or handed out by its address; what is done through a copy of a map or slice
// is not seen. Generated files are left alone.
func (l *linter) globals(p *packages.Package) {
	for _, f := range p.Syntax {
		if ast.IsGenerated(f) {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Name.Name == "init" && n.Recv == nil {
					l.add(p, n, "an init function (%s)", whyGlobal)
				}
			case *ast.AssignStmt:
				if n.Tok != token.DEFINE {
					for _, e := range n.Lhs {
						l.changed(p, n, e, "assigned to")
					}
				}
			case *ast.RangeStmt:
				if n.Tok == token.ASSIGN {
					l.changed(p, n, n.Key, "assigned to")
					l.changed(p, n, n.Value, "assigned to")
				}
			case *ast.IncDecStmt:
				l.changed(p, n, n.X, "assigned to")
			case *ast.UnaryExpr:
				if n.Op == token.AND {
					l.changed(p, n, n.X, "handed out by its address")
				}
			case *ast.CallExpr:
				l.call(p, n)
			}
			return true
		})
	}
}

// call checks a call for its effects on the process and on its operands.
func (l *linter) call(p *packages.Package, n *ast.CallExpr) {
	switch fun := ast.Unparen(n.Fun).(type) {
	case *ast.Ident:
		if b, ok := p.TypesInfo.Uses[fun].(*types.Builtin); ok && (b.Name() == "delete" || b.Name() == "clear" || b.Name() == "copy") {
			l.changed(p, n, n.Args[0], "assigned to")
		}
	case *ast.SelectorExpr:
		f, ok := p.TypesInfo.Uses[fun.Sel].(*types.Func)
		if !ok {
			return
		}
		name := f.FullName()
		if p.Name != "main" && (name == "os.Exit" || strings.HasPrefix(name, "log.Fatal")) {
			l.add(p, n, "%s outside of a command (only main ends the process, so that the rest can be tested and ends in good order)", name)
		}
		if s := p.TypesInfo.Selections[fun]; s != nil && byAddress(s, f) {
			l.changed(p, n, fun.X, "handed out by its address")
		}
	}
}

// byAddress tells whether a method call takes its operand's address.
func byAddress(s *types.Selection, f *types.Func) bool {
	_, wants := f.Signature().Recv().Type().(*types.Pointer)
	_, has := s.Recv().Underlying().(*types.Pointer)
	return wants && !has
}

// changed notes that e is changed, if it is, or is part of, a package-level
// variable of ours.
func (l *linter) changed(p *packages.Package, at ast.Node, e ast.Expr, how string) {
	v := variable(p.TypesInfo, e)
	if v == nil || v.Pkg() == nil || v.Parent() != v.Pkg().Scope() {
		return
	}
	if _, ours := l.inHouse(v.Pkg().Path()); ours {
		l.add(p, at, "package-level variable %s is %s (%s)", v.Name(), how, whyGlobal)
	}
}

// variable returns the variable that e is, or is part of.
func variable(info *types.Info, e ast.Expr) *types.Var {
	switch e := e.(type) {
	case *ast.Ident:
		v, _ := info.ObjectOf(e).(*types.Var)
		return v
	case *ast.SelectorExpr:
		if v, ok := info.Uses[e.Sel].(*types.Var); ok && !v.IsField() {
			return v // of another package
		}
		return variable(info, e.X)
	case *ast.IndexExpr:
		return variable(info, e.X)
	case *ast.StarExpr:
		return variable(info, e.X)
	case *ast.ParenExpr:
		return variable(info, e.X)
	}
	return nil
}
