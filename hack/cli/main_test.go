package cli

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"go.uber.org/goleak"

	// What the tests build and run: when it changes, go test runs them anew.
	_ "github.com/fovea-obs/fovea/agent"
	"github.com/fovea-obs/fovea/hack/stock"
)

// version is that of the agents.
const version = "v0.0.1"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestHubble runs the scripts. Those in ask run at the same time, with history
// as the traffic left it.
func TestHubble(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: to make network namespaces and load programs")
	}
	f := newFixture(t)
	for _, c := range []struct {
		name     string
		parallel bool
	}{
		{"ask", true}, {"live", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			datadriven.Walk(t, filepath.Join("testdata", c.name), func(t *testing.T, path string) {
				if c.parallel {
					t.Parallel()
				}
				s := newScript(t, f)
				datadriven.RunTest(t, path, s.command)
			})
		})
	}
}

// buildAgent builds fovea in the directory.
func buildAgent(t *testing.T, dir string) string {
	t.Helper()
	out := filepath.Join(dir, "fovea")
	text, err := exec.CommandContext(testContext(t), "go", "build", "-ldflags", "-X main.release="+version,
		"-o", out, "github.com/fovea-obs/fovea").CombinedOutput()
	if err != nil {
		t.Fatalf("build fovea: %v\n%s", err, text)
	}
	return out
}

// stockHubble returns the path of the stock hubble, which is built if need be.
func stockHubble(t *testing.T) string {
	t.Helper()
	path, err := stock.Hubble(t.Context())
	check(t, err)
	return path
}

// testContext ends with the test, or when it takes far too long.
func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 30*time.Second, errors.New("waited for 30 seconds"))
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
