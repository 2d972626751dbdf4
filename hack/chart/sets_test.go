package chart

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// set is one of the sets of values.
type set struct {
	name, namespace, values string
}

// defaults is the set that says nothing.
const defaults = "defaults"

// sets reads them all.
func sets(t *testing.T) (all []set) {
	t.Helper()
	paths, err := filepath.Glob("testdata/sets/*")
	check(t, err)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		check(t, err)
		m := command.FindSubmatch(text)
		if m == nil {
			t.Fatalf("%s does not begin with the command template", path)
		}
		s := set{name: filepath.Base(path), namespace: string(m[1]), values: string(m[2])}
		if s.namespace == "" {
			s.namespace = anyNamespace
		}
		all = append(all, s)
	}
	return all
}

// anyNamespace is where the chart is installed if nothing is said.
const anyNamespace = "kube-system"

// command is the one of a set, with its namespace and values.
var command = regexp.MustCompile(`(?s)^(?:#[^\n]*\n)*template(?: namespace=(\S+))?[^\n]*\n(.*?)----\n`)

// namespace is what a command says, as namespace=observability.
func namespace(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	in := anyNamespace
	if d.HasArg("namespace") {
		d.ScanArgs(t, "namespace", &in)
	}
	return in
}

// TestSets holds what is rendered against what it was.
func TestSets(t *testing.T) {
	t.Parallel()
	h := newHelm(t)
	text, err := h.template(t, anyNamespace, kubeVersion, "")
	check(t, err)
	base := objects(t, text)
	datadriven.Walk(t, "testdata/sets", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			kube := kubeVersion
			if d.HasArg("kubernetes") {
				d.ScanArgs(t, "kubernetes", &kube)
			}
			text, err := h.template(t, namespace(t, d), kube, d.Input)
			if err != nil {
				d.Fatalf(t, "%v", err)
			}
			all := objects(t, text)
			if filepath.Base(path) != defaults {
				return difference(t, base, all)
			}
			var said strings.Builder
			for _, o := range all {
				said.WriteString(o.text + "\n---\n")
			}
			return said.String()
		})
	})
}

// TestRefused has values that cannot be meant.
func TestRefused(t *testing.T) {
	t.Parallel()
	h := newHelm(t)
	datadriven.Walk(t, "testdata/refused", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			_, err := h.template(t, namespace(t, d), kubeVersion, d.Input)
			if err == nil {
				d.Fatalf(t, "not refused")
			}
			return err.Error()
		})
	})
}

// TestLint has Helm look at the chart with all sets.
func TestLint(t *testing.T) {
	t.Parallel()
	h := newHelm(t)
	for _, s := range sets(t) {
		if out, err := h.run(t, s.values, "lint", dir, "--strict", "--namespace", s.namespace, "--values", "-"); err != nil {
			t.Errorf("%s: %v\n%s", s.name, err, out)
		}
	}
}
