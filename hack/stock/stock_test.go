package stock

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

func TestPinned(t *testing.T) {
	mod := filepath.Join(t.TempDir(), "go.mod")
	text := "module m\n\nrequire k8s.io/api v0.1.0 // indirect\n\nrequire (\n\tk8s.io/kubernetes v1.2.3\n\tx/k8s.io/other v3.0.0\n)\n" +
		"replace k8s.io/other => k8s.io/other v0.2.0\n"
	if err := os.WriteFile(mod, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"k8s.io/kubernetes": "v1.2.3", "k8s.io/api": "v0.1.0", "k8s.io/other": ""} {
		if got, err := pinned(mod, path); got != want || (err == nil) != (want != "") {
			t.Errorf("%s is %q, %v, want %q", path, got, err, want)
		}
	}
}

func TestKubernetesHasVersions(t *testing.T) {
	p, err := findKubernetes()
	if err != nil {
		t.Fatal(err)
	}
	if want := regexp.MustCompile(`^kubernetes-v1\.\d+\.\d+-etcd-v3\.\d+\.\d+-coredns-v1\.\d+\.\d+$`); !want.MatchString(p.name()) {
		t.Errorf("they are called %s", p.name())
	}
}
