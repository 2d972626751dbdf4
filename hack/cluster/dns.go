package cluster

import (
	"context"
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"
)

//go:embed manifests/dns.yaml
var dnsManifest string

// startDNS starts the cluster's DNS and waits until it is ready.
func (c *Cluster) startDNS(ctx context.Context) error {
	c.log.Info("Starting DNS")
	var names strings.Builder
	for _, n := range slices.Sorted(maps.Keys(c.config.Names)) {
		fmt.Fprintf(&names, "        %s %s\n", c.config.Names[n], n)
	}
	yaml := strings.NewReplacer("$IMAGE", coreDNSImage, "$ADDRESS", DNS.String(), "        $NAMES\n", names.String()).Replace(dnsManifest)
	if err := c.Apply(ctx, yaml); err != nil {
		return err
	}
	_, err := c.Kubectl(ctx, "--namespace", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=2m")
	return err
}
