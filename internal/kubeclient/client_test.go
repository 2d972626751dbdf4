package kubeclient

import "testing"

func TestNoPod(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	if InCluster() {
		t.Error("this is a pod")
	}
	for _, path := range []string{"", "/does/not/exist"} {
		if c, err := Config(path); err == nil {
			t.Errorf("%q: the API is at %s", path, c.Host)
		}
	}
}
