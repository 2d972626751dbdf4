package main

import (
	"fmt"
	"go/ast"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/go/packages"
)

// imports checks what p imports, itself and through others.
func (l *linter) imports(p *packages.Package) {
	name, _ := l.inHouse(p.PkgPath)
	r, ok := roomOf(name)
	if !ok {
		l.add(p, p.Syntax[0].Name, "package %s is in no room: say in hack/lint/rules.go what it may import", name)
		return
	}
	for _, f := range p.Syntax {
		for _, spec := range f.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			l.direct(p, r, name, spec, imported)
			l.reached(p, r, name, spec, imported)
		}
	}
}

func (l *linter) direct(p *packages.Package, r room, name string, spec *ast.ImportSpec, imported string) {
	below, ours := l.inHouse(imported)
	switch {
	case ours && !anyMatches(r.may, below):
		l.add(p, spec, "%s may not import %s (%s)", name, below, r.why)
	case !ours && anyMatches(r.not, imported):
		l.add(p, spec, "%s may not import %s (%s)", name, imported, r.why)
	}
}

// reached checks the packages behind one import. One that direct refuses is
// left to it.
func (l *linter) reached(p *packages.Package, r room, name string, spec *ast.ImportSpec, imported string) {
	if below, ours := l.inHouse(imported); ours && !anyMatches(r.may, below) {
		return
	}
	chain := l.find(imported, r.never, map[string]bool{})
	switch {
	case len(chain) == 1:
		l.add(p, spec, "%s may not import %s (%s)", name, chain[0], r.why)
	case len(chain) > 1:
		l.add(p, spec, "%s may not reach %s, as it does by %s (%s)", name, chain[len(chain)-1], strings.Join(chain, " → "), r.why)
	}
}

// find returns the imports from path on that lead to a package that a pattern
// covers, or nil.
func (l *linter) find(path string, patterns []string, seen map[string]bool) []string {
	if seen[path] {
		return nil
	}
	seen[path] = true
	below, ours := l.inHouse(path)
	if !ours {
		below = path
	}
	if anyMatches(patterns, below) {
		return []string{below}
	}
	p := l.graph[path]
	if p == nil {
		return nil
	}
	for _, next := range slices.Sorted(maps.Keys(p.Imports)) {
		if chain := l.find(next, patterns, seen); chain != nil {
			return append([]string{below}, chain...)
		}
	}
	return nil
}

// add notes a violation at a node of p.
func (l *linter) add(p *packages.Package, n ast.Node, format string, args ...any) {
	at := p.Fset.Position(n.Pos())
	file, err := filepath.Rel(l.dir, at.Filename)
	if err != nil {
		file = at.Filename
	}
	l.found = append(l.found, violation{file, at.Line, fmt.Sprintf(format, args...)})
}
