package chart

import (
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// TestNotes holds what people are told who installed the chart.
func TestNotes(t *testing.T) {
	t.Parallel()
	h := newHelm(t)
	datadriven.RunTest(t, "testdata/notes", func(t *testing.T, d *datadriven.TestData) string {
		out, err := h.run(t, d.Input, "install", "fovea", dir, "--dry-run=client", "--namespace", namespace(t, d), "--values", "-")
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		_, notes, _ := strings.Cut(out, "\nNOTES:\n")
		return notes
	})
}
