package cluster

import (
	"fmt"
	"path/filepath"
)

// kubeletConfig makes control groups of pods below one that is removed with the
// cluster, and takes any amount of disk for enough.
const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: false}
  x509: {clientCAFile: %q}
authorization: {mode: AlwaysAllow}
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
volumePluginDir: /var/lib/kubelet/plugins
cgroupDriver: cgroupfs
cgroupRoot: %q
cgroupsPerQOS: true
enforceNodeAllocatable: []
failCgroupV1: false
failSwapOn: false
evictionHard: {memory.available: 0%%, nodefs.available: 0%%, nodefs.inodesFree: 0%%, imagefs.available: 0%%}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
resolvConf: ""
clusterDomain: cluster.local
clusterDNS: [%s]
`

func (c *Cluster) startKubelet(n *Node) error {
	access, _, err := c.writeKubeconfig(c.control, filepath.Join(n.Name, "kubelet"), "system:node:"+n.Name, "system:nodes")
	if err != nil {
		return err
	}
	cgroup, err := c.state.makeCgroup(n.Name)
	if err != nil {
		return err
	}
	config, err := c.state.write(filepath.Join(n.Name, "kubelet.yaml"), fmt.Appendf(nil, kubeletConfig,
		c.state.path("ca.crt"), cgroup, DNS))
	if err != nil {
		return err
	}
	return c.run(n.machine, "kubelet", "--config", config, "--kubeconfig", access, "--hostname-override", n.Name,
		"--node-ip", fmt.Sprintf("%s,%s", n.IPv4, n.IPv6))
}
