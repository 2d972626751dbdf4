package cluster

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
)

// Kubectl runs kubectl as an administrator and returns what it prints.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) (string, error) {
	return c.kubectl(ctx, "", args...)
}

// Apply makes objects what the YAML says.
func (c *Cluster) Apply(ctx context.Context, yaml string) error {
	_, err := c.kubectl(ctx, yaml, "apply", "-f", "-")
	return err
}

// Logs returns what a container of a pod printed so far, that of its only one
// if container is empty.
func (c *Cluster) Logs(ctx context.Context, namespace, pod, container string) (string, error) {
	args := []string{"logs", "--namespace", namespace, pod}
	if container != "" {
		args = append(args, "--container", container)
	}
	return c.Kubectl(ctx, args...)
}

// KubectlPath is the path of kubectl.
func (c *Cluster) KubectlPath() string { return filepath.Join(c.programs, "kubectl") }

func (c *Cluster) kubectl(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.KubectlPath(), append([]string{
		"--kubeconfig", c.Kubeconfig(), "--cache-dir", c.state.path("kubectl"),
	}, args...)...)
	// What the machine's user has of kubectl is not looked at.
	cmd.Env = append(os.Environ(), "KUBERC=off")
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	if err := c.control.node.NS.Run(cmd); err != nil {
		return out.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), errors.Join(err, context.Cause(ctx)), errs.String())
	}
	return out.String(), nil
}

// Build builds a static program of the project, by its path in it, for a
// machine or an image.
func Build(ctx context.Context, out, path string) error {
	_, file, _, ok := runtime.Caller(0)
	if !ok || !filepath.IsAbs(file) {
		return errors.New("find the project: built without paths")
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", out, "./"+path)
	cmd.Dir = filepath.Dir(filepath.Dir(filepath.Dir(file)))
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", path, err, text)
	}
	return nil
}
