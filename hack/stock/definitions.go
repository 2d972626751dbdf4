package stock

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// Definitions returns the paths of the CustomResourceDefinitions of what the chart has of
// others: Certificates and Issuers of cert-manager, PodMonitors of the Prometheus operator,
// and OpenShift's SecurityContextConstraints. The first call takes them from the Go module
// proxy, in the versions that hack/kinds pins.
func Definitions(ctx context.Context) (paths []string, err error) {
	for _, d := range []struct {
		module string
		files  []string
	}{
		{"github.com/cert-manager/cert-manager", []string{
			"deploy/crds/cert-manager.io_certificates.yaml", "deploy/crds/cert-manager.io_issuers.yaml"}},
		{"github.com/prometheus-operator/prometheus-operator", []string{
			"example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml"}},
		{"github.com/openshift/api", []string{
			"security/v1/zz_generated.crd-manifests/0000_03_config-operator_01_securitycontextconstraints.crd.yaml"}},
	} {
		dir, version, err := module("kinds", d.module)
		if err != nil {
			return nil, err
		}
		files, err := download(ctx, dir, d.module)
		if err != nil {
			return nil, fmt.Errorf("get %s %s: %w", d.module, version, err)
		}
		for _, f := range d.files {
			path := filepath.Join(files, f)
			if _, err := os.Stat(path); err != nil {
				return nil, fmt.Errorf("find a definition of %s %s: %w", d.module, version, err)
			}
			paths = append(paths, path)
		}
	}
	return paths, nil
}
