package chart

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	// What the test builds: when it changes, go test runs it anew.
	_ "github.com/fovea-obs/fovea/agent"
	_ "github.com/fovea-obs/fovea/relay"
)

// TestOptions has fovea read the options that its containers have in each set.
func TestOptions(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "fovea")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "github.com/fovea-obs/fovea").CombinedOutput(); err != nil {
		t.Fatalf("build fovea: %v\n%s", err, out)
	}
	h := newHelm(t)
	for _, s := range sets(t) {
		text, err := h.template(t, s.namespace, kubeVersion, s.values)
		check(t, err)
		for _, o := range objects(t, text) {
			_, all := o.containers()
			for _, c := range all {
				if fmt.Sprint(c["command"]) != "[/fovea]" {
					continue
				}
				var args []string
				for _, a := range c["args"].([]any) {
					args = append(args, a.(string))
				}
				// All before it is read first.
				args = append(args, "--help")
				if out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput(); err != nil {
					t.Errorf("%s: %s has %q: %v\n%s", s.name, c["name"], args, err, out)
				}
			}
		}
	}
}
