package chart

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fovea-obs/fovea/hack/apiserver"
	"github.com/fovea-obs/fovea/hack/stock"
)

// cluster is the API of one, and kubectl and Helm for it.
type cluster struct {
	*helm
	kubectlPath, kubeconfig string
}

// newCluster starts one that has the kinds of others that the chart knows.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	programs, err := stock.Kubernetes(t.Context())
	check(t, err)
	definitions, err := stock.Definitions(t.Context())
	check(t, err)
	s, err := apiserver.Start(t.Context(), t.TempDir(), t.Output())
	check(t, err)
	t.Cleanup(func() { check(t, s.Close()) })
	c := &cluster{helm: newHelm(t), kubectlPath: filepath.Join(programs, "kubectl"), kubeconfig: s.Kubeconfig}
	c.env = append(c.env, "KUBECONFIG="+s.Kubeconfig)
	for _, d := range definitions {
		c.must(t, "", "create", "-f", d)
		c.must(t, "", "wait", "--for=condition=Established", "-f", d)
	}
	c.must(t, "", "create", "namespace", "observability")
	return c
}

// kubectl returns what kubectl prints. Its error has what it says is wrong.
func (c *cluster) kubectl(t *testing.T, in string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.kubectlPath, args...)
	cmd.Stdin, cmd.Env = strings.NewReader(in), append(os.Environ(), "KUBECONFIG="+c.kubeconfig, "HOME="+t.TempDir())
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, exit.Stderr)
	}
	return string(out), err
}

func (c *cluster) must(t *testing.T, in string, args ...string) string {
	t.Helper()
	out, err := c.kubectl(t, in, args...)
	check(t, err)
	return out
}
