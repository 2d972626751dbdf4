// Command up starts a cluster to try things on, prints how to use it, and
// removes it when it is interrupted.
//
//	go run ./hack/cluster/up [-nodes 2] [-proxy iptables]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/fovea-obs/fovea/hack/cluster"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "up:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	nodes := flag.Int("nodes", 2, "how many nodes")
	proxy := flag.String("proxy", string(cluster.Iptables), "how kube-proxy makes services: iptables or nftables")
	flag.Parse()
	c, err := cluster.Start(ctx, cluster.Config{Nodes: *nodes, Proxy: cluster.ProxyMode(*proxy)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	fmt.Printf("The cluster is up, its logs are in %s. In a node's network:\n\n", c.Dir())
	for _, n := range c.Nodes() {
		fmt.Printf("    nsenter --net=%s bash    # %s, %s\n", n.NS.Path(), n.Name, n.IPv4)
	}
	fmt.Printf("\nThere:\n\n    alias kubectl='%s --kubeconfig %s'\n\nInterrupt to remove it.\n", c.KubectlPath(), c.Kubeconfig())
	<-ctx.Done()
	return nil
}
