//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/fovea-obs/fovea/hack/cluster"
	"github.com/fovea-obs/fovea/hack/stock"
)

// shell runs commands as an administrator of the cluster types them: with helm,
// hubble and kubectl, the cluster's kubeconfig, and the project's charts in the
// directory that it is in, which is its own.
type shell struct {
	cluster *cluster.Cluster
	dir     string
	env     []string
}

func newShell(ctx context.Context, t *testing.T, c *cluster.Cluster) *shell {
	t.Helper()
	s := &shell{cluster: c, dir: t.TempDir()}
	bin := filepath.Join(t.TempDir(), "bin")
	check(t, os.Mkdir(bin, 0o755))
	helm, err := stock.Helm(ctx)
	check(t, err)
	hubble, err := stock.Hubble(ctx)
	check(t, err)
	for name, path := range map[string]string{"helm": helm, "hubble": hubble, "kubectl": c.KubectlPath()} {
		check(t, os.Symlink(path, filepath.Join(bin, name)))
	}
	check(t, os.Symlink(filepath.Join(root(t), "charts"), filepath.Join(s.dir, "charts")))
	home := t.TempDir()
	for _, e := range os.Environ() {
		// What this machine's user has set for these programs is not looked at.
		if !strings.HasPrefix(e, "HUBBLE_") && !strings.HasPrefix(e, "HELM_") && !strings.HasPrefix(e, "KUBE") {
			s.env = append(s.env, e)
		}
	}
	s.env = append(s.env, "PATH="+bin+":"+os.Getenv("PATH"), "KUBECONFIG="+c.Kubeconfig(), "KUBERC=off", "HOME="+home)
	for _, name := range []string{"XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"} {
		s.env = append(s.env, name+"="+home)
	}
	return s
}

// root is the project's directory.
func root(t *testing.T) string {
	t.Helper()
	_, file, _, ok := runtime.Caller(0)
	if !ok || !filepath.IsAbs(file) {
		t.Fatal("the project's directory is not known: built without paths")
	}
	return filepath.Join(filepath.Dir(file), "../../..")
}

// endJobs ends what a script leaves in the background.
const endJobs = "trap 'kill -KILL $(jobs -p) 2>/dev/null || true' EXIT\n"

// command is a script that is not started yet. What it starts ends with it.
func (s *shell) command(ctx context.Context, script string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", endJobs+script)
	cmd.Dir, cmd.Env = s.dir, s.env
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	return cmd
}

// run runs a script and returns what it prints.
func (s *shell) run(ctx context.Context, script string) (string, error) {
	cmd := s.command(ctx, script)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := s.cluster.Control().NS.Run(cmd)
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s%s", script, errors.Join(err, context.Cause(ctx)), out.String(), errs.String())
	}
	return out.String(), err
}
