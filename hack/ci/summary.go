package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// event is one line of go test -json: see go doc test2json.
type event struct {
	Action, Package, Test, Output string
	// ImportPath is of what is built, FailedBuild what a package failed by.
	ImportPath, FailedBuild string
	Elapsed                 float64
}

// test is a test, or a package or a build where its name is empty.
type test struct{ pkg, name string }

// summary counts tests, and prints the output of those that did not pass.
type summary struct {
	w                       io.Writer
	passed, failed, skipped int
	// output is what tests wrote that have not passed yet.
	output map[test][]string
	// broken are the packages of which a test failed.
	broken map[string]bool
}

func (s *summary) read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		if !bytes.HasPrefix(lines.Bytes(), []byte("{")) {
			fmt.Fprintln(s.w, lines.Text())
			continue
		}
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("read %q: %w", lines.Text(), err)
		}
		s.event(e)
	}
	return lines.Err()
}

func (s *summary) event(e event) {
	t := test{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		s.add(test{pkg: e.ImportPath}, e.Output)
	case "output":
		s.add(t, e.Output)
	case "build-fail":
		s.failed++
		s.show("FAIL", test{pkg: e.ImportPath})
	case "pass":
		if e.Test != "" {
			s.passed++
		} else {
			fmt.Fprintf(s.w, "ok    %s (%.1fs)\n", e.Package, e.Elapsed)
		}
		delete(s.output, t)
	case "skip":
		if e.Test != "" { // a package is "skipped" if it has no tests
			s.skipped++
			s.show("SKIP", t)
		}
	case "fail":
		if e.Test == "" {
			s.packageFailed(e)
			return
		}
		s.failed++
		s.broken[e.Package] = true
		s.show("FAIL", t)
	}
}

// packageFailed counts a package only if nothing in it was counted, as when its
// TestMain fails, and shows what the tests wrote that came to no end.
func (s *summary) packageFailed(e event) {
	if !s.broken[e.Package] && e.FailedBuild == "" {
		s.failed++
	}
	var left []test
	for t := range s.output {
		if t.pkg == e.Package {
			left = append(left, t)
		}
	}
	slices.SortFunc(left, func(a, b test) int { return strings.Compare(a.name, b.name) })
	for _, t := range left {
		s.show("FAIL", t)
	}
}

func (s *summary) add(t test, text string) { s.output[t] = append(s.output[t], text) }

func (s *summary) show(what string, t test) {
	fmt.Fprintf(s.w, "%s  %s\n", what, strings.TrimSpace(t.pkg+" "+t.name))
	for _, line := range s.output[t] {
		fmt.Fprint(s.w, "      ", line)
	}
	delete(s.output, t)
}
