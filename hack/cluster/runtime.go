package cluster

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
)

// containerdConfig keeps containerd to directories that are the node's own.
const containerdConfig = `version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = %q
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
`

// With ptp each pod has a link of its own to the node.
const ptpConfig = `{"cniVersion": "0.4.0", "name": "pods", "plugins": [{
  "type": "ptp", "ipMasq": false,
  "ipam": {"type": "host-local", "dataDir": "/run/cni", "ranges": [[%s], [%s]],
    "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]}
}]}`

// With bridge all pods of the node share a bridge.
const bridgeConfig = `{"cniVersion": "0.4.0", "name": "pods", "plugins": [{
  "type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true, "ipMasq": false,
  "ipam": {"type": "host-local", "dataDir": "/run/cni", "ranges": [[%s], [%s]],
    "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]}
}]}`

// addressRange is what the CNI plugin is told of the addresses in a node's range.
// The first is the node's own.
func (c *Cluster) addressRange(p netip.Prefix) string {
	if c.config.PodAddresses == 0 {
		return fmt.Sprintf(`{"subnet": %q}`, p)
	}
	last := p.Addr().Next()
	for range c.config.PodAddresses {
		last = last.Next()
	}
	return fmt.Sprintf(`{"subnet": %q, "rangeEnd": %q}`, p, last)
}

// startRuntime starts containerd and waits until it accepts connections.
func (c *Cluster) startRuntime(ctx context.Context, n *Node) error {
	network := ptpConfig
	if n.Bridge {
		network = bridgeConfig
		if err := n.filterBridged(); err != nil {
			return err
		}
	}
	conflist, err := c.state.write(filepath.Join(n.Name, "cni", "pods.conflist"),
		fmt.Appendf(nil, network, c.addressRange(n.PodRange4), c.addressRange(n.PodRange6)))
	if err != nil {
		return err
	}
	config, err := c.state.write(filepath.Join(n.Name, "containerd.toml"),
		fmt.Appendf(nil, containerdConfig, pauseImage, filepath.Dir(conflist)))
	if err != nil {
		return err
	}
	containerd, err := exec.LookPath("containerd")
	if err != nil {
		return fmt.Errorf("find containerd, see CONTRIBUTING.md for what clusters need: %w", err)
	}
	if err := n.machine.Start("containerd", containerd, "--config", config); err != nil {
		return err
	}
	for {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "unix", n.Runtime())
		if err == nil {
			return conn.Close()
		}
		if ended := pause(ctx); ended != nil {
			return fmt.Errorf("wait for containerd: %w", ended)
		}
	}
}

// filterBridged makes services work between pods of one bridge: their answers
// must pass where addresses are translated back.
func (n *Node) filterBridged() error {
	for _, family := range []string{"iptables", "ip6tables"} {
		if err := n.NS.Sysctl("net/bridge/bridge-nf-call-"+family, "1"); err != nil {
			return fmt.Errorf("the bridge needs the kernel's br_netfilter: %w", err)
		}
	}
	return nil
}

// Addr is the node's address of a family.
func (n *Node) Addr(ipv6 bool) netip.Addr {
	if ipv6 {
		return n.IPv6
	}
	return n.IPv4
}
