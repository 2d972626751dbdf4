package chart

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// difference says what is in one set of objects and not in another: which are gone, which
// are new, and the lines that differ in others.
func difference(t *testing.T, from, to []object) string {
	t.Helper()
	var said strings.Builder
	before, after := map[string]object{}, map[string]object{}
	for _, o := range from {
		before[o.id] = o
	}
	for _, o := range to {
		after[o.id] = o
	}
	for _, o := range from {
		if _, ok := after[o.id]; !ok {
			fmt.Fprintf(&said, "gone: %s\n", o.id)
		}
	}
	for _, o := range to {
		b, ok := before[o.id]
		switch {
		case !ok:
			fmt.Fprintf(&said, "new: %s\n%s\n", o.id, indent(o.text))
		case b.text != o.text:
			fmt.Fprintf(&said, "changed: %s\n%s\n", o.id, indent(lines(t, b.text, o.text)))
		}
	}
	return said.String()
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ")
}

// lines are those that differ, as diff tells them, without their numbers.
func lines(t *testing.T, from, to string) string {
	t.Helper()
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	check(t, errors.Join(os.WriteFile(a, []byte(from+"\n"), 0o600), os.WriteFile(b, []byte(to+"\n"), 0o600)))
	out, err := exec.CommandContext(t.Context(), "diff", "-U1", a, b).Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Fatalf("diff: %v", err)
	}
	var kept []string
	for i, line := range strings.Split(strings.TrimSuffix(string(out), "\n"), "\n") {
		switch {
		case i < 2: // the files' names
		case strings.HasPrefix(line, "@@"):
			kept = append(kept, "@@")
		default:
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}
