package chart

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
)

// TestServer has an API server say what it thinks of the chart.
func TestServer(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	t.Run("dry", c.dryRun)
	t.Run("install", c.install)
	t.Run("methods", c.methods)
}

// dryRun has it look at the objects of each set, with no field let in that it does not
// know, and nothing but the agent that is not restricted by the standards of Kubernetes.
func (c *cluster) dryRun(t *testing.T) {
	for _, namespace := range []string{anyNamespace, "observability"} {
		c.must(t, "", "label", "namespace", namespace, "pod-security.kubernetes.io/warn=restricted")
	}
	create := []string{"create", "--dry-run=server", "--validate=strict", "-f", "-"}
	for _, s := range sets(t) {
		t.Run(s.name, func(t *testing.T) {
			text, err := c.template(t, s.namespace, kubeVersion, s.values)
			check(t, err)
			agent, others := agentAndOthers(t, text)
			out := c.must(t, agent, create...) + c.must(t, others, append(create, "--warnings-as-errors")...)
			if got, want := strings.Count(out, "created (server dry run)"), len(objects(t, text)); got != want {
				t.Errorf("took %d objects of %d:\n%s", got, want, out)
			}
		})
	}
	// It sees what it is asked to look for.
	text, err := c.template(t, anyNamespace, kubeVersion, "")
	check(t, err)
	agent, _ := agentAndOthers(t, text)
	if _, err := c.kubectl(t, agent, append(create, "--warnings-as-errors")...); err == nil || !strings.Contains(err.Error(), "would violate PodSecurity") {
		t.Errorf("an agent that is not restricted: %v", err)
	}
	agent = strings.ReplaceAll(agent, "hostNetwork:", "hostNetworks:")
	if _, err := c.kubectl(t, agent, create...); err == nil || !strings.Contains(err.Error(), `unknown field "spec.template.spec.hostNetworks"`) {
		t.Errorf("a field that there is none of: %v", err)
	}
}

// agentAndOthers are the parts of what was rendered.
func agentAndOthers(t *testing.T, text string) (agent, others string) {
	t.Helper()
	for part := range strings.SplitSeq(text, "---\n") {
		if strings.Contains(part, "\nkind: DaemonSet\n") {
			agent += "---\n" + part
		} else {
			others += "---\n" + part
		}
	}
	return agent, others
}

// apart is a namespace that there is not before the chart is installed there.
const apart = "apart"

// install installs the chart, changes what it is told, and removes it. Certificates stay
// for as long as they are of use.
func (c *cluster) install(t *testing.T) {
	run := func(values string, args ...string) {
		t.Helper()
		if _, err := c.run(t, values, append(args, "--namespace", apart)...); err != nil {
			t.Fatal(err)
		}
	}
	const (
		ca, agent, server = "fovea-ca", "hubble-server-certs", "hubble-relay-server-certs"
		client, ui        = "hubble-relay-client-certs", "hubble-ui-client-certs"
	)
	run("", "install", "fovea", dir, "--create-namespace", "--values", "-")
	first := c.certificates(t, apart)
	before := first
	all := []string{ca, agent, server, client, ui}
	for _, name := range all {
		if _, ok := before[name]; !ok {
			t.Fatalf("there is no %s: %v", name, before)
		}
	}
	for _, step := range []struct {
		name, values string
		remade       []string
	}{
		{"nothing", "", nil},
		{"what is no certificate's", "agent: {history: 64MiB}", nil},
		{"the cluster's name", "clusterName: prod", []string{agent}},
		{"a time so long that too little is left", "clusterName: prod\ntls: {helm: {certificateDays: 3650}}", []string{agent, server, client, ui}},
		{"a time so short that too much is left", "clusterName: prod\ntls: {helm: {certificateDays: 30}}", []string{agent, server, client, ui}},
		{"the authority", "clusterName: prod\ntls: {helm: {caDays: 300, certificateDays: 30}}", all},
		{"nothing again", "clusterName: prod\ntls: {helm: {caDays: 300, certificateDays: 30}}", nil},
	} {
		run(step.values, "upgrade", "fovea", dir, "--values", "-")
		after := c.certificates(t, apart)
		remade := map[string]bool{}
		for _, name := range step.remade {
			remade[name] = true
		}
		for _, name := range all {
			if got := after[name] != before[name]; got != remade[name] {
				t.Errorf("change %s: %s is another: %v, want %v", step.name, name, got, remade[name])
			}
		}
		before = after
	}

	run("", "rollback", "fovea", "1")
	if got := c.certificates(t, apart); !maps.Equal(got, first) {
		t.Errorf("after a rollback there are others than there were")
	}

	run("", "uninstall", "fovea")
	text, err := c.template(t, apart, kubeVersion, "")
	check(t, err)
	if left := c.must(t, text, "get", "-f", "-", "--ignore-not-found", "-o", "name"); left != "" {
		t.Errorf("what is left is %s", left)
	}
}

// certificates are those of the Secrets in a namespace, by their names. It fails the test
// if one does not fit to what is beside it.
func (c *cluster) certificates(t *testing.T, namespace string) map[string]string {
	t.Helper()
	var list struct {
		Items []struct {
			Metadata struct{ Name string }
			Data     map[string]any
		}
	}
	check(t, json.Unmarshal([]byte(c.must(t, "", "get", "secrets", "--namespace", namespace,
		"--field-selector", "type=kubernetes.io/tls", "-o", "json")), &list))
	all := map[string]string{}
	for _, s := range list.Items {
		all[s.Metadata.Name] = string(readSecret(t, s.Metadata.Name, s.Data).cert.Raw)
	}
	return all
}
