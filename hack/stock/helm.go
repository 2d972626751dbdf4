package stock

import "context"

// helm is the path of the module that Helm is.
const helm = "helm.sh/helm/v4"

// Helm returns the path of Helm, in the version that hack/helm pins. It is built
// as Hubble is.
func Helm(ctx context.Context) (string, error) {
	dir, version, err := module("helm", helm)
	if err != nil {
		return "", err
	}
	return build(ctx, dir, program{
		what: "Helm " + version, name: "helm-" + version,
		path:  helm + "/cmd/helm",
		flags: "-X " + helm + "/internal/version.version=" + version,
	})
}
