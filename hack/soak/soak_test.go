package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestSoak runs the program as it is, without the race detector, which would
// take ten times as long and far more memory.
func TestSoak(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "soak")
	if text, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, text)
	}
	cmd := exec.CommandContext(t.Context(), bin)
	cmd.Env = append(os.Environ(), "GOGC=25")
	text, err := cmd.CombinedOutput()
	t.Logf("%s", text)
	if err != nil {
		t.Error(err)
	}
}
