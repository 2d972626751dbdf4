package cli

// unshown is what the help lists and no script shows at work, each with the
// reason why it cannot be shown here. That of a command or a flag stands for
// all that belongs to it. What filters ask for is tried all the same.
func unshown() map[string]string {
	all := map[string]string{}
	for _, u := range []struct {
		reason string
		names  []string
	}{
		{"debug events are those of Cilium's programs: there are none, and nothing is answered", []string{
			"observe debug-events",
		}},
		{"hubble takes it with agent events and makes no use of it", []string{
			"observe agent-events --first", "observe agent-events --print-policy-names",
		}},
		{"it asks a Kubernetes API server for the way to the server", []string{
			"--port-forward", "--port-forward-port", "--kubeconfig", "--kube-context", "--kube-namespace",
		}},
		{"hubble takes it and makes no use of it", []string{"--timeout"}},
		{"hubble refuses this form, which its own help lists", []string{
			"--since StampMilli", "--until StampMilli",
			"observe agent-events --since StampMilli", "observe agent-events --until StampMilli",
		}},
		{"policies are added to policy verdicts, and there are none: the kernel knows of no policies", []string{
			"--print-policy-names", "--type policy-verdict", "--verdict AUDIT",
		}},
		{"the agent looks at pods' interfaces, so that all traces are from or to endpoints", []string{
			"--type trace:from-host", "--type trace:from-network", "--type trace:from-overlay",
			"--type trace:from-proxy", "--type trace:from-stack", "--type trace:from-crypto",
			"--type trace:to-host", "--type trace:to-network", "--type trace:to-overlay",
			"--type trace:to-proxy", "--type trace:to-stack", "--type trace:to-crypto",
		}},
		{"the agent tells of packets that passed or were dropped, and of nothing between", []string{
			"--type capture", "--type trace-sock",
			"--verdict REDIRECTED", "--verdict ERROR", "--verdict TRACED", "--verdict TRANSLATED",
		}},
		{"no flow tells of HTTP", []string{
			"--type l7", "--http-status", "--http-method", "--http-path", "--http-url", "--http-header",
		}},
		{"no flow tells of tracing", []string{"--trace-id", "--ip-trace-id"}},
		{"no flow tells which addresses others were translated to", []string{"--snat-ip"}},
		{"at pods' interfaces packets are in plaintext", []string{"--encrypted"}},
		{"only IP packets are told of", []string{"--ip-version none"}},
	} {
		for _, n := range u.names {
			all[n] = u.reason
		}
	}
	return all
}
