package stock

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Kubernetes returns a directory with kube-apiserver, kube-controller-manager,
// kube-scheduler, kube-proxy, kubelet, kubectl, etcd and coredns, all static.
// The first call for their versions builds them from hack/kubernetes, which
// takes some ten minutes and the Go module proxy.
func Kubernetes(ctx context.Context) (dir string, err error) {
	kubernetes, err := findKubernetes()
	if err != nil {
		return "", err
	}
	return cached(kubernetes.what(), kubernetes.name(), func(out string) error {
		if err := os.Mkdir(out, 0o755); err != nil {
			return fmt.Errorf("make a directory for Kubernetes: %w", err)
		}
		for _, b := range kubernetes.builds() {
			// Paths in the programs are nobody's concern here, and without
			// -trimpath what tests compile of the same libraries is shared.
			args := append([]string{"-o", filepath.Join(out, b.out), "-ldflags", "-s -w " + b.flags}, b.packages...)
			if err := goBuild(ctx, b.dir, kubernetes.what(), args...); err != nil {
				return err
			}
		}
		return nil
	})
}

// pin is a nested module and the version that it pins.
type pin struct{ dir, version string }

// kubernetesPins are the modules that a cluster's programs come from.
type kubernetesPins struct{ kube, etcd, coreDNS pin }

func findKubernetes() (kubernetesPins, error) {
	var p kubernetesPins
	for _, m := range []struct {
		to         *pin
		name, pins string
	}{
		{&p.kube, "kubernetes", "k8s.io/kubernetes"},
		{&p.etcd, "kubernetes/etcd", "go.etcd.io/etcd/server/v3"},
		{&p.coreDNS, "kubernetes/coredns", "github.com/coredns/coredns"},
	} {
		dir, version, err := module(m.name, m.pins)
		if err != nil {
			return kubernetesPins{}, err
		}
		*m.to = pin{dir: dir, version: version}
	}
	return p, nil
}

// what they are, for people.
func (p kubernetesPins) what() string { return "Kubernetes " + p.kube.version }

// name of their directory in the cache.
func (p kubernetesPins) name() string {
	return fmt.Sprintf("kubernetes-%s-etcd-%s-coredns-%s", p.kube.version, p.etcd.version, p.coreDNS.version)
}

// goBuildOf is one call of go build. Without out, programs are called as their
// packages.
type goBuildOf struct {
	dir, out, flags string
	packages        []string
}

func (p kubernetesPins) builds() []goBuildOf {
	const version = "k8s.io/component-base/version."
	parts := strings.SplitN(strings.TrimPrefix(p.kube.version, "v"), ".", 3)
	flags := fmt.Sprintf("-X %sgitVersion=%s -X %sgitMajor=%s -X %sgitMinor=%s",
		version, p.kube.version, version, parts[0], version, parts[1])
	return []goBuildOf{
		{dir: p.kube.dir, flags: flags, packages: []string{
			"k8s.io/kubernetes/cmd/kube-apiserver",
			"k8s.io/kubernetes/cmd/kube-controller-manager",
			"k8s.io/kubernetes/cmd/kube-scheduler",
			"k8s.io/kubernetes/cmd/kube-proxy",
			"k8s.io/kubernetes/cmd/kubelet",
			"k8s.io/kubernetes/cmd/kubectl",
		}},
		{dir: p.etcd.dir, out: "etcd", packages: []string{"go.etcd.io/etcd/server/v3"}},
		{dir: p.coreDNS.dir, out: "coredns", packages: []string{"github.com/coredns/coredns"}},
	}
}
