package main

import (
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// TestSummary runs testdata: the output of go test -json, and what is made of
// it.
func TestSummary(t *testing.T) {
	datadriven.RunTest(t, "testdata/summary", func(t *testing.T, d *datadriven.TestData) string {
		var w strings.Builder
		ok, err := run(strings.NewReader(d.Input), &w)
		switch {
		case err != nil:
			w.WriteString("error: " + err.Error() + "\n")
		case ok:
			w.WriteString("may pass\n")
		default:
			w.WriteString("must fail\n")
		}
		return w.String()
	})
}
