// Package cluster starts a real Kubernetes cluster on this machine, for tests
// and to try things on. It needs root, cgroups as they come, and containerd,
// runc, the CNI plugins, iptables, nft and conntrack; CONTRIBUTING.md says how
// they are called. Kubernetes, etcd and CoreDNS are built by package stock.
//
//	c, err := cluster.Start(ctx, cluster.Config{})
//	defer c.Close()
//	err = c.LoadImage(ctx, "fovea.test/workload:1", program)
//	err = c.Apply(ctx, yaml)
//	text, err := c.Kubectl(ctx, "get", "pods", "--output", "json")
//
// # What there is
//
// The network is one of package lab: the control plane, called control, and
// node1, node2... have addresses, routes to each other's pods and a bridge
// between them. All is dual stack.
//
//	control 172.31.0.11 fd31::11   etcd, API server, controllers, scheduler
//	node1   172.31.0.12 fd31::12   pods in 10.1.2.0/24 and fd00:2::/64, each with
//	                               a link of its own (CNI plugin ptp)
//	node2   172.31.0.13 fd31::13   pods in 10.1.3.0/24 and fd00:3::/64, on a
//	                               bridge (CNI plugin bridge); and so on in turns
//	services                       10.96.0.0/16 and fd96::/108, by kube-proxy with
//	                               iptables or nftables
//	DNS     10.96.0.10             CoreDNS, also with the names of [Config.Names]
//
// Everybody is who they are in a real cluster: there are certificates, service
// accounts, RBAC and the node authorizer. Kubelets let the API server do all.
//
// [Cluster.Lab] is there for what a test needs besides, as an address outside
// the cluster. [Node] has the node's network namespace, to run a program in or
// make a socket; [Cluster.Access] is for Go clients in this process.
//
// # Images
//
// No registry is asked. [Cluster.LoadImage] makes an image from static programs
// and loads it into every node; its pods say imagePullPolicy Never. Command
// workload is made for this: it makes connections and reports each of them, or makes
// thousands a second.
//
// # What is left
//
// Nothing, after Close and after a failed start. Each node is a machine of
// package machine: a first process that all others descend from, with mounts
// and process numbers of its own. When this process is killed, so are they, and
// what remains is a directory in os.TempDir and empty control groups of its
// name, which the next Start or [Sweep] removes. Settings of the whole kernel
// that a kubelet changes are hidden from it.
//
// # Limits
//
// All nodes share one kernel: tracepoints and the BPF file system see all of
// them. There are no host ports of pods, no storage and no load balancers, and
// what an image may be is a few static programs. Kubelets see the machine's CPUs
// and memory, each all of it. os.TempDir must not be below /run, /var/lib or
// /var/log, which nodes have to themselves.
package cluster
