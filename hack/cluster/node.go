package cluster

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/fovea-obs/fovea/hack/cluster/machine"
	"github.com/fovea-obs/fovea/hack/lab"
)

// Node is a node of a cluster, with containerd, a kubelet and kube-proxy.
type Node struct {
	// The network: name, namespace and addresses. It belongs to the cluster.
	*lab.Node
	// Bridge tells that pods are connected by a bridge, and not each by itself.
	Bridge  bool
	machine *machine.Machine
}

// Dir is where a directory below the node's /run, /var/lib or /var/log, which are
// the node's own, is found outside of it.
func (n *Node) Dir(path string) string { return n.machine.Dir(path) }

// PID is the node's first process, whose namespaces are the node's.
func (n *Node) PID() int { return n.machine.PID() }

// Runtime is the path of containerd's socket.
func (n *Node) Runtime() string { return n.Dir("/run/containerd/containerd.sock") }

// addNodes adds the nodes to the network. Nothing runs on them yet.
func (c *Cluster) addNodes() error {
	for i := range c.config.Nodes {
		n, m, err := c.addMachine(fmt.Sprintf("node%d", i+1))
		if err != nil {
			return err
		}
		c.nodes = append(c.nodes, &Node{Node: n, Bridge: i%2 == 1, machine: m})
	}
	return nil
}

// startNodes starts the nodes at once and waits until all are ready.
func (c *Cluster) startNodes(ctx context.Context) error {
	c.log.Info("Starting nodes", "nodes", len(c.nodes))
	if err := c.Apply(ctx, c.nodeObjects()); err != nil {
		return err
	}
	images, err := c.baseImages(ctx)
	if err != nil {
		return err
	}
	var group errgroup.Group
	for _, n := range c.nodes {
		group.Go(func() error {
			if err := c.startNode(ctx, n, images); err != nil {
				return fmt.Errorf("start node %s: %w", n.Name, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	_, err = c.Kubectl(ctx, "wait", "--for=condition=Ready", "node", "--all", "--timeout=2m")
	return err
}

// nodeObjects are made before kubelets do it, with the ranges of pods that the
// network has routes for.
func (c *Cluster) nodeObjects() string {
	var text strings.Builder
	for _, n := range c.nodes {
		fmt.Fprintf(&text, "---\napiVersion: v1\nkind: Node\nmetadata: {name: %s, labels: {kubernetes.io/hostname: %[1]s}}\n"+
			"spec: {podCIDR: %q, podCIDRs: [%[2]q, %q]}\n", n.Name, n.PodRange4.String(), n.PodRange6.String())
	}
	return text.String()
}

// startNode starts a node's programs one after the other. Images are there
// before the kubelet is, which waits a while before it looks again.
func (c *Cluster) startNode(ctx context.Context, n *Node, images []string) error {
	if err := c.startRuntime(ctx, n); err != nil {
		return err
	}
	for _, i := range images {
		if err := n.importImage(ctx, i); err != nil {
			return err
		}
	}
	if err := c.startKubelet(n); err != nil {
		return err
	}
	return c.startProxy(n)
}

func (c *Cluster) startProxy(n *Node) error {
	config, _, err := c.writeKubeconfig(c.control, filepath.Join(n.Name, "kube-proxy"), "system:kube-proxy")
	if err != nil {
		return err
	}
	// The limits of connection tracking are the whole kernel's.
	return c.run(n.machine, "kube-proxy", "--kubeconfig", config, "--hostname-override", n.Name,
		"--proxy-mode", string(c.config.Proxy), "--cluster-cidr", fmt.Sprintf("%s,%s", podRange4, podRange6),
		"--conntrack-max-per-core=0", "--conntrack-min=0",
		"--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0")
}
