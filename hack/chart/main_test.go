package chart

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fovea-obs/fovea/hack/stock"
)

// dir is where the chart is.
const dir = "../../charts/fovea"

// kubeVersion is that of clusters, unless a test says another.
const kubeVersion = "v1.36.3"

// deadline is how long a call of Helm may take.
const deadline = time.Minute

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// helm is the program, which keeps nothing of its own.
type helm struct {
	path string
	env  []string
}

func newHelm(t *testing.T) *helm {
	t.Helper()
	path, err := stock.Helm(t.Context())
	check(t, err)
	// Helm reads the chart where go test does not see it, and what the test reads is
	// what go test runs it anew for.
	check(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			_, err = os.Stat(path)
		}
		return err
	}))
	home := t.TempDir()
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "HELM_CACHE_HOME=" + home, "HELM_CONFIG_HOME=" + home, "HELM_DATA_HOME=" + home}
	return &helm{path: path, env: env}
}

// run returns what Helm prints. Its error has what it says is wrong.
func (h *helm) run(t *testing.T, values string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	cmd := exec.CommandContext(ctx, h.path, args...)
	cmd.Env, cmd.Stdin = h.env, strings.NewReader(values)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%w: %s", err, strings.TrimSpace(said.String()))
	}
	if said.Len() > 0 {
		return out.String(), errors.New(said.String())
	}
	return out.String(), nil
}

// template renders the chart with values in YAML.
func (h *helm) template(t *testing.T, namespace, kube, values string) (string, error) {
	t.Helper()
	return h.run(t, values, "template", "fovea", dir, "--namespace", namespace, "--kube-version", kube, "--values", "-")
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
