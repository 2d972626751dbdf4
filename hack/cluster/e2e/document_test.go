//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// fence opens and closes a block of a document.
const fence = "```"

// documents are the commands in the project's documents: those in blocks that say sh,
// in their order. Blocks that say console are not run.
type documents []section

// section is what a document, by its file's name, says below a heading.
type section struct{ document, heading, commands string }

func readDocuments(t *testing.T) (all documents) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root(t), "docs", "*.md"))
	check(t, err)
	for _, path := range files {
		text, err := os.ReadFile(path)
		check(t, err)
		all = append(all, sections(filepath.Base(path), string(text))...)
	}
	return all
}

func sections(document, text string) (all []section) {
	heading, block := "", ""
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, fence):
			block = strings.TrimSpace(strings.TrimPrefix(line, fence))
		case block == "sh":
			if n := len(all); n == 0 || all[n-1].heading != heading {
				all = append(all, section{document: document, heading: heading})
			}
			all[len(all)-1].commands += line
		case block == "" && strings.HasPrefix(line, "#"):
			heading = strings.TrimSpace(strings.TrimLeft(line, "#"))
		}
	}
	return all
}

// take returns the commands of a document below a heading. They are not there any
// more: what nobody takes is never run.
func (d *documents) take(t *testing.T, document, heading string) string {
	t.Helper()
	i := slices.IndexFunc(*d, func(s section) bool { return s.document == document && s.heading == heading })
	if i < 0 {
		t.Fatalf("docs/%s has no commands below %q", document, heading)
	}
	commands := (*d)[i].commands
	*d = slices.Delete(*d, i, i+1)
	return commands
}

// allTaken checks that no commands are left.
func (d documents) allTaken(t *testing.T) {
	t.Helper()
	for _, s := range d {
		t.Errorf("docs/%s: what is below %q was not run:\n%s", s.document, s.heading, s.commands)
	}
}
