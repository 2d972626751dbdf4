package engine

import (
	"strings"

	"github.com/fovea-obs/fovea/agent/policy"
)

// Word is what an engine says of a packet: that a policy does not let it pass. The
// zero value is of no engine.
type Word struct {
	// Engine is the engine's name.
	Engine string
	Policy policy.Ref
}

// maxText is how long a text may be in a rule of iptables (the kernel's
// include/uapi/linux/netfilter/xt_NFLOG.h, less the ending zero). One that is as long
// may be cut.
const maxText = 63

// kubeRouter begins the texts of kube-router, which k3s has built in. What follows is
// a policy's namespace and name. Each of the policies that select a pod logs what it
// does not let pass, the next one may: so a text counts only for what was dropped.
const kubeRouter = "DROP by policy "

// Read returns what a logged text says. It is not ok for texts of no engine that is
// known, and for those that are cut.
func Read(text string) (w Word, ok bool) {
	rest, ok := strings.CutPrefix(text, kubeRouter)
	if !ok || len(text) >= maxText {
		return w, false
	}
	namespace, name, ok := strings.Cut(strings.TrimSpace(rest), "/")
	if !ok || !isName(namespace) || !isName(name) {
		return w, false
	}
	return Word{"kube-router", policy.Ref{Kind: policy.Network, Namespace: namespace, Name: name}}, true
}

// isName tells whether an object of Kubernetes may be called so (RFC 1123, with dots).
func isName(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-.") == ""
}
