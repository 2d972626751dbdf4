package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	// Built and run as a process: a change of it makes cached results void.
	_ "github.com/fovea-obs/fovea/agent"
)

// programVariable names the fovea that TestMain built.
const programVariable = "E2E_FOVEA"

func TestMain(m *testing.M) {
	if os.Getenv(withoutLinksVariable) != "" {
		fmt.Fprintln(os.Stderr, execWithoutLinks(os.Args[1:]))
		os.Exit(1)
	}
	if os.Geteuid() != 0 {
		goleak.VerifyTestMain(m) // all tests skip
		return
	}
	dir, err := os.MkdirTemp("", "fovea-e2e-")
	if err == nil {
		// Agents without root's rights run it as well.
		err = os.Chmod(dir, 0o755)
	}
	if err == nil {
		err = buildProgram(context.Background(), filepath.Join(dir, "fovea"))
	}
	if err == nil {
		err = os.Setenv(programVariable, filepath.Join(dir, "fovea"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.RemoveAll(dir)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// buildProgram builds fovea.
func buildProgram(ctx context.Context, out string, flags ...string) error {
	args := append(append([]string{"build", "-o", out}, flags...), "github.com/fovea-obs/fovea")
	if text, err := exec.CommandContext(ctx, "go", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("build fovea: %w\n%s", err, text)
	}
	return nil
}

// needRoot skips the test if there can be no lab.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: to make network namespaces and load programs")
	}
}

// testContext ends with the test, or when it takes far too long.
func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// check ends the test if err is set.
func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// closeLater closes something at the end of the test.
func closeLater(t *testing.T, close func() error) {
	t.Helper()
	t.Cleanup(func() {
		if err := close(); err != nil {
			t.Error(err)
		}
	})
}
