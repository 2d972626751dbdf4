// Command lint holds the rules of the house that the compiler does not: which
// package may import which, and that nothing is global.
//
//	go run ./hack/lint
//
// It reads the module in the current directory without its tests, prints each
// violation as file:line: what (why), and fails if there is one. The rules are
// in rules.go.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

func main() {
	found, err := lint(".")
	for _, v := range found {
		fmt.Println(v)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "lint:", err)
	}
	if err != nil || len(found) > 0 {
		os.Exit(1)
	}
}

// lint returns what is wrong in the module in dir, in the order of files and
// lines.
func lint(dir string) ([]string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	// The whole graph of imports, and then the syntax of our own packages:
	// asked for at once, all others would be type-checked from source.
	graph, err := load(abs, packages.NeedName|packages.NeedImports|packages.NeedDeps|packages.NeedModule)
	if err != nil {
		return nil, err
	}
	ours, err := load(abs, packages.LoadSyntax|packages.NeedModule)
	if err != nil {
		return nil, err
	}
	l := linter{dir: abs, module: ours[0].Module.Path, graph: map[string]*packages.Package{}}
	packages.Visit(graph, nil, func(p *packages.Package) { l.graph[p.PkgPath] = p })
	for _, p := range ours {
		l.imports(p)
		l.globals(p)
	}
	return l.report(), nil
}

func load(dir string, mode packages.LoadMode) ([]*packages.Package, error) {
	all, err := packages.Load(&packages.Config{Dir: dir, Mode: mode}, "./...")
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		if len(p.Errors) > 0 {
			return nil, fmt.Errorf("load %s: %w", p.PkgPath, p.Errors[0])
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no packages in %s", dir)
	}
	return all, nil
}

// linter collects violations.
type linter struct {
	dir, module string
	// graph is every package that is imported from ours, ours too, by path.
	graph map[string]*packages.Package
	found []violation
}

type violation struct {
	file string
	line int
	text string
}

func (l *linter) report() []string {
	slices.SortStableFunc(l.found, func(a, b violation) int {
		if c := strings.Compare(a.file, b.file); c != 0 {
			return c
		}
		return a.line - b.line
	})
	list := make([]string, len(l.found))
	for i, v := range l.found {
		list[i] = fmt.Sprintf("%s:%d: %s", v.file, v.line, v.text)
	}
	return list
}

// inHouse returns the path of one of our packages below the module, "." for
// the module's own, and whether it is ours.
func (l *linter) inHouse(path string) (string, bool) {
	if path == l.module {
		return ".", true
	}
	return strings.CutPrefix(path, l.module+"/")
}
