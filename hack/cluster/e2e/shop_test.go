//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fovea-obs/fovea/hack/cluster/workload/report"
)

// podVariables tell a pod who it is.
const podVariables = `[` +
	`{name: POD_NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}, ` +
	`{name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}, ` +
	`{name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}]`

// target is what clients call, and the prefix of the pods that answer.
type target struct {
	url, answers string
	// both tells that it has addresses of both families.
	both bool
}

// targets are what the clients call.
func (f *fixture) targets() []target {
	targets := []target{
		{"http://front.shop.svc.cluster.local:8080", "shop/front-", true},
		{"udp://back:5353", "shop/back-", true},
		{"http://db:8080", "shop/db-", true},
		{"http://db-0.db:8080", "shop/db-0", true},
		{"udp://db-1.db:8080", "shop/db-1", true},
		{"http://" + outsideName + ":8080", "outside/api", false},
	}
	for _, n := range f.Nodes() {
		for _, a := range []netip.Addr{n.IPv4, n.IPv6} {
			targets = append(targets,
				target{"http://" + netip.AddrPortFrom(a, 30080).String(), "shop/front-", false},
				target{"http://" + netip.AddrPortFrom(a, 8081).String(), "shop/host-", false},
				target{"udp://" + netip.AddrPortFrom(a, 8081).String(), "shop/host-", false})
		}
	}
	return targets
}

// apply applies a file of testdata, with more words and what they stand for.
func (f *fixture) apply(ctx context.Context, t *testing.T, name string, words ...string) {
	t.Helper()
	yaml, err := os.ReadFile(filepath.Join("testdata", name))
	check(t, err)
	var urls []string
	for _, u := range f.targets() {
		urls = append(urls, u.url)
	}
	words = append(words, "$POD", podVariables, "$TARGETS", quoted(urls))
	check(t, f.Apply(ctx, strings.NewReplacer(words...).Replace(string(yaml))))
}

// quoted is a list as YAML has it inside of brackets.
func quoted(list []string) string {
	return strings.Trim(strings.Join(strings.Fields(fmt.Sprintf("%q", list)), ", "), "[]")
}

// rollOut waits until all pods of the workloads are ready.
func (f *fixture) rollOut(ctx context.Context, t *testing.T, namespace string, workloads ...string) {
	t.Helper()
	for _, w := range workloads {
		if _, err := f.Kubectl(ctx, "--namespace", namespace, "rollout", "status", w, "--timeout=2m"); err != nil {
			pods, _ := f.Kubectl(ctx, "--namespace", namespace, "describe", "pods")
			t.Fatalf("%v\n%s", err, pods)
		}
	}
}

// pod is what tests need of a pod.
type pod struct {
	name, node string
	addrs      []netip.Addr
}

// pods returns those with the label app.
func (f *fixture) pods(ctx context.Context, namespace, app string) ([]pod, error) {
	text, err := f.Kubectl(ctx, "--namespace", namespace, "get", "pods", "--selector", "app="+app, "--output", "json")
	if err != nil {
		return nil, err
	}
	var list struct {
		Items []struct {
			Metadata struct{ Name string }
			Spec     struct{ NodeName string }
			Status   struct{ PodIPs []struct{ IP netip.Addr } }
		}
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("read pods: %w", err)
	}
	var pods []pod
	for _, i := range list.Items {
		p := pod{name: i.Metadata.Name, node: i.Spec.NodeName}
		for _, ip := range i.Status.PodIPs {
			p.addrs = append(p.addrs, ip.IP)
		}
		pods = append(pods, p)
	}
	return pods, nil
}

// reports returns what a pod of the shop told of its connections so far.
func (f *fixture) reports(ctx context.Context, p pod) ([]report.Connection, error) {
	text, err := f.Logs(ctx, "shop", p.name, "")
	if err != nil {
		return nil, err
	}
	return report.Read(strings.NewReader(text))
}
