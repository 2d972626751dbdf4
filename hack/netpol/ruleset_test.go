package netpol

import (
	"os"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/fovea-obs/fovea/hack/lab"
)

// TestRulesets runs the scripts in testdata. Their commands are
//
//	cluster       objects in YAML that are there until the next cluster
//	node1, node2  the rules of this node with the policies below, or why there are
//	              none
//
// The kernel takes what is printed.
func TestRulesets(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: to make network namespaces")
	}
	ns, err := lab.NewNamespace()
	check(t, err)
	t.Cleanup(func() { check(t, ns.Close()) })
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var there Objects
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "cluster" {
				there = Objects{}
				there.add(t, d.Input)
				return ""
			}
			o := there
			o.add(t, d.Input)
			rules, err := Ruleset(d.Cmd, o)
			if err != nil {
				return err.Error() + "\n"
			}
			check(t, Enforce(t.Context(), ns, d.Cmd, o))
			return rules
		})
	})
	check(t, Remove(t.Context(), ns))
	check(t, Remove(t.Context(), ns)) // as often as one likes
}
