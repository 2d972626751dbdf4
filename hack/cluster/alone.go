package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/fovea-obs/fovea/hack/lab"
)

// StartAlone starts a node with a container runtime and nothing of Kubernetes,
// which is not built either. There is no control plane: of the cluster's methods,
// Lab, Nodes and Close are of use, and [Cluster.StopRuntime] and
// [Cluster.StartRuntime] of those below.
func StartAlone(ctx context.Context) (*Cluster, error) {
	c := &Cluster{log: slog.Default(), config: Config{Nodes: 1}}
	if err := c.startAlone(ctx); err != nil {
		return nil, fmt.Errorf("start a node: %w", errors.Join(err, c.Close()))
	}
	return c, nil
}

func (c *Cluster) startAlone(ctx context.Context) (err error) {
	if c.state, err = newState(os.TempDir()); err != nil {
		return err
	}
	c.pid1 = c.state.path("pid1")
	if err := Build(ctx, c.pid1, "hack/cluster/machine/pid1"); err != nil {
		return err
	}
	pause := c.state.path("pause")
	if err := Build(ctx, pause, "hack/cluster/pause"); err != nil {
		return err
	}
	if c.lab, err = lab.New(); err != nil {
		return err
	}
	if err := c.addNodes(); err != nil {
		return err
	}
	if err := c.startRuntime(ctx, c.nodes[0]); err != nil {
		return err
	}
	return c.LoadImage(ctx, pauseImage, pause)
}

// StopRuntime stops a node's container runtime. Its pods go on.
func (c *Cluster) StopRuntime(n *Node) error { return n.machine.Stop("containerd") }

// StartRuntime starts it again.
func (c *Cluster) StartRuntime(ctx context.Context, n *Node) error { return c.startRuntime(ctx, n) }

// Sandbox is what to ask a node's runtime for: the sandbox of a pod, as a kubelet
// does, in the node's control group.
func (c *Cluster) Sandbox(n *Node, namespace, name, uid string, labels map[string]string) (*runtime.PodSandboxConfig, error) {
	cgroup, err := c.state.makeCgroup(n.Name)
	if err != nil {
		return nil, err
	}
	all := map[string]string{
		"io.kubernetes.pod.name": name, "io.kubernetes.pod.namespace": namespace, "io.kubernetes.pod.uid": uid,
	}
	for k, v := range labels {
		all[k] = v
	}
	return &runtime.PodSandboxConfig{
		Metadata: &runtime.PodSandboxMetadata{Name: name, Namespace: namespace, Uid: uid},
		Hostname: name, LogDirectory: filepath.Join("/var/log", uid), Labels: all,
		Annotations: map[string]string{"kubernetes.io/config.source": "api"},
		Linux:       &runtime.LinuxPodSandboxConfig{CgroupParent: filepath.Join(cgroup, "pod"+uid)},
	}, nil
}
