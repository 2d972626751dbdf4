package kube

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fovea-obs/fovea/agent/endpoint"
)

func TestWorkload(t *testing.T) {
	// 29,800,000 minutes after 1970.
	due := time.Unix(29_800_000*60, 0)
	for name, tt := range map[string]struct {
		kind, owner string
		labels      map[string]string
		created     time.Time
		want        endpoint.Workload
	}{
		"Deployment":             {"ReplicaSet", "web-5d8f", map[string]string{"pod-template-hash": "5d8f"}, due, endpoint.Workload{Kind: "Deployment", Name: "web"}},
		"ReplicaSet":             {"ReplicaSet", "web-5d8f", nil, due, endpoint.Workload{Kind: "ReplicaSet", Name: "web-5d8f"}},
		"another hash":           {"ReplicaSet", "web-5d8f", map[string]string{"pod-template-hash": "d8f"}, due, endpoint.Workload{Kind: "ReplicaSet", Name: "web-5d8f"}},
		"nothing but a hash":     {"ReplicaSet", "-5d8f", map[string]string{"pod-template-hash": "5d8f"}, due, endpoint.Workload{Kind: "ReplicaSet", Name: "-5d8f"}},
		"CronJob":                {"Job", "backup-29800000", nil, due.Add(time.Minute), endpoint.Workload{Kind: "CronJob", Name: "backup"}},
		"CronJob, a retry":       {"Job", "backup-29800000", nil, due.Add(48 * time.Hour), endpoint.Workload{Kind: "CronJob", Name: "backup"}},
		"Job called by a date":   {"Job", "import-20260901", nil, due, endpoint.Workload{Kind: "Job", Name: "import-20260901"}},
		"Job":                    {"Job", "import", nil, due, endpoint.Workload{Kind: "Job", Name: "import"}},
		"Job that is a number":   {"Job", "-29800000", nil, due, endpoint.Workload{Kind: "Job", Name: "-29800000"}},
		"StatefulSet":            {"StatefulSet", "db", nil, due, endpoint.Workload{Kind: "StatefulSet", Name: "db"}},
		"DaemonSet":              {"DaemonSet", "log", nil, due, endpoint.Workload{Kind: "DaemonSet", Name: "log"}},
		"ReplicationController":  {"ReplicationController", "old", nil, due, endpoint.Workload{Kind: "ReplicationController", Name: "old"}},
		"DeploymentConfig":       {"ReplicationController", "old-1", map[string]string{"deploymentconfig": "old"}, due, endpoint.Workload{Kind: "DeploymentConfig", Name: "old"}},
		"of a kind of their own": {"Rollout", "web", nil, due, endpoint.Workload{Kind: "Rollout", Name: "web"}},
		"a node's own":           {"Node", "node1", nil, due, endpoint.Workload{}},
		"called by no text":      {"Rollout", "web\xff", nil, due, endpoint.Workload{}},
		"called by a long text":  {"Rollout", strings.Repeat("w", 254), nil, due, endpoint.Workload{}},
		"nobody's":               {"", "", nil, due, endpoint.Workload{}},
	} {
		o := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: tt.labels, CreationTimestamp: metav1.NewTime(tt.created)}}
		yes := true
		if tt.kind != "" {
			o.OwnerReferences = []metav1.OwnerReference{
				{Kind: "Other", Name: "no controller"}, {Kind: tt.kind, Name: tt.owner, Controller: &yes},
			}
		}
		if got := workload(o); got != tt.want {
			t.Errorf("%s: got %+v, want %+v", name, got, tt.want)
		}
	}
}

// TestManyLabels has a pod with far more labels than anybody needs.
func TestManyLabels(t *testing.T) {
	s := newScenario()
	o := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "u", Labels: map[string]string{}},
		Status:     corev1.PodStatus{PodIP: "10.1.0.2"},
	}
	for i := range 1000 {
		o.Labels[fmt.Sprint("label-", i)] = strings.Repeat("v", 63)
	}
	check(t, s.stores["pods"].Add(o))
	if want := "set u at 0s: shop/web [10.1.0.2] 1000 labels\n"; s.out.String() != want {
		t.Errorf("got %s", s.out.String())
	}
}

func TestUnexpected(t *testing.T) {
	for name, st := range newScenario().stores {
		if st.Add("a text") == nil || st.Delete(nil) == nil || st.Replace([]any{1}, "") == nil {
			t.Errorf("%s took what is none", name)
		}
	}
}

func TestNoKubeconfig(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	broken := filepath.Join(t.TempDir(), "broken")
	check(t, os.WriteFile(broken, []byte("clusters: 1\n"), 0o600))
	for _, path := range []string{"", "/does/not/exist", broken} {
		if _, err := New(Config{Kubeconfig: path}); err == nil {
			t.Errorf("%q will do", path)
		}
	}
}
