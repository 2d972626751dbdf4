package chart

import (
	"maps"
	"strings"
	"testing"
)

// methods changes who makes the certificates. What is in the way of that, Helm would see in
// the middle or not at all.
func (c *cluster) methods(t *testing.T) {
	const namespace = "methods"
	helm := func(values string, args ...string) error {
		t.Helper()
		_, err := c.run(t, values, append(args, "--namespace", namespace)...)
		return err
	}
	refused := func(err error, want ...string) {
		t.Helper()
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("got %v, want %s", err, w)
			}
		}
	}
	const certManager, others = "tls: {method: certManager}", `
tls:
  method: provided
  provided: {agentSecret: a, relayServerSecret: b, relayClientSecret: c, uiClientSecret: d}`
	upgrade := []string{"upgrade", "fovea", dir, "--values", "-"}
	install := []string{"install", "fovea", dir, "--create-namespace", "--values", "-"}

	check(t, helm("", install...))
	before := c.certificates(t, namespace)
	refused(helm(certManager, upgrade...),
		`tls.method: "certManager", want the Secret fovea-ca away, which this release has made`, "the Secret hubble-ui-client-certs away")
	refused(helm(strings.Replace(others, "agentSecret: a", "agentSecret: hubble-server-certs", 1), upgrade...),
		`tls.provided.agentSecret: "hubble-server-certs", want the Secret hubble-server-certs away, which this release has made`)
	if after := c.certificates(t, namespace); !maps.Equal(after, before) {
		t.Errorf("what was refused has changed certificates")
	}
	check(t, helm(others, upgrade...))
	if after := c.certificates(t, namespace); len(after) > 0 {
		t.Errorf("beside those that are provided there are still %d", len(after))
	}
	check(t, helm("", "uninstall", "fovea"))

	// What cert-manager has made stays when its Certificates go.
	check(t, helm(certManager, install...))
	c.must(t, "", "create", "secret", "generic", "hubble-server-certs", "--namespace", namespace)
	check(t, helm(certManager, upgrade...))
	refused(helm("tls: {method: helm}", upgrade...), `tls.method: "helm", want the Secret hubble-server-certs away, which this release has not made`)
	check(t, helm("", "uninstall", "fovea"))
	refused(helm("", install...), `tls.method: "helm", want the Secret hubble-server-certs away, which this release has not made`)
	c.must(t, "", "delete", "secret", "hubble-server-certs", "--namespace", namespace)
	check(t, helm("", install...))
	check(t, helm("", "uninstall", "fovea"))
}
