package engine

import (
	"strings"
	"testing"

	"github.com/fovea-obs/fovea/agent/policy"
)

func TestRead(t *testing.T) {
	deny := Word{"kube-router", policy.Ref{Kind: policy.Network, Namespace: "shop", Name: "deny.all-1"}}
	for text, want := range map[string]Word{
		"DROP by policy shop/deny.all-1":                    deny,
		"DROP by policy shop/deny.all-1 ":                   deny,
		"DROP by policy shop":                               {},
		"DROP by policy /deny":                              {},
		"DROP by policy shop/":                              {},
		"DROP by policy shop/a/b":                           {},
		"DROP by policy shop/\x1b[31m":                      {},
		"DROP by policy shop/" + strings.Repeat("a", 63-20): {},
		"DROP by policy shop/" + strings.Repeat("a", 62-20): {"kube-router", policy.Ref{Kind: policy.Network, Namespace: "shop", Name: strings.Repeat("a", 42)}},
		"REJECT by policy shop/deny":                        {},
		"":                                                  {},
	} {
		if got, ok := Read(text); got != want || ok != (want != Word{}) {
			t.Errorf("%q is %+v, %v; want %+v", text, got, ok, want)
		}
	}
}

// FuzzRead checks that what is read names a policy whole.
func FuzzRead(f *testing.F) {
	f.Add("DROP by policy shop/deny")
	f.Add("DROP by policy shop/deny\x00 ")
	f.Fuzz(func(t *testing.T, text string) {
		w, ok := Read(text)
		if !ok {
			if w != (Word{}) {
				t.Errorf("%q is %+v, and not ok", text, w)
			}
			return
		}
		said := strings.TrimSpace(strings.TrimPrefix(text, kubeRouter))
		if said != w.Policy.String() || strings.Count(said, "/") != 1 {
			t.Errorf("%q is %+v", text, w)
		}
	})
}
