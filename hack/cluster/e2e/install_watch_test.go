//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/fovea-obs/fovea/hack/cluster/workload/report"
)

// watched are pods that talk with each other all the time: on each node one that
// serves, and one that calls those of all nodes by TCP and UDP, IPv4 and IPv6.
const watched = `
apiVersion: v1
kind: Pod
metadata: {name: %[1]s, namespace: watched, labels: {app: %[2]s}}
spec:
  nodeName: %[3]s
  terminationGracePeriodSeconds: 1
  serviceAccountName: watched
  containers:
  - {name: %[2]s, image: "fovea.test/workload:1", imagePullPolicy: Never, args: [%[4]s], env: ` + podVariables + `%[5]s}
---
`

// watchTraffic starts them and returns when all have been answered.
func (i *installTest) watchTraffic(ctx context.Context, t *testing.T) {
	t.Helper()
	text := "apiVersion: v1\nkind: Namespace\nmetadata: {name: watched}\n---\n" +
		"apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: watched, namespace: watched}\n---\n"
	for _, n := range i.Nodes() {
		text += fmt.Sprintf(watched, "server-"+n.Name, "server", n.Name, "server",
			", readinessProbe: {httpGet: {port: 8080}, periodSeconds: 1}")
	}
	check(t, i.Apply(ctx, text))
	i.wait(ctx, t, "server")
	servers, err := i.pods(ctx, "watched", "server")
	check(t, err)
	urls := []string{"client", "-interval", "100ms", "-timeout", "5s", "-at-once"}
	for _, s := range servers {
		for _, a := range s.addrs {
			at := netip.AddrPortFrom(a, 8080).String()
			urls = append(urls, "http://"+at, "udp://"+at)
		}
	}
	text = ""
	for _, n := range i.Nodes() {
		text += fmt.Sprintf(watched, "client-"+n.Name, "client", n.Name, quoted(urls), "")
	}
	check(t, i.Apply(ctx, text))
	i.wait(ctx, t, "client")
	eventually(ctx, t, func() error { return i.judgeTraffic(ctx, t, 1) })
}

func (i *installTest) wait(ctx context.Context, t *testing.T, app string) {
	t.Helper()
	_, err := i.Kubectl(ctx, "--namespace", "watched", "wait", "--for=condition=Ready", "pod", "--selector", "app="+app, "--timeout=1m")
	check(t, err)
}

// judgeTraffic returns an error if a client made fewer calls, or if one was not
// answered.
func (i *installTest) judgeTraffic(ctx context.Context, t *testing.T, atLeast int) error {
	t.Helper()
	for _, n := range i.Nodes() {
		text, err := i.Logs(ctx, "watched", "client-"+n.Name, "")
		check(t, err)
		calls, err := report.Read(strings.NewReader(text))
		check(t, err)
		for _, c := range calls {
			if c.Error != "" {
				t.Errorf("at %s: %s", c.Time, c.Error)
			}
		}
		if len(calls) < atLeast {
			return fmt.Errorf("%s made %d calls, want %d", n.Name, len(calls), atLeast)
		}
		t.Logf("%d calls from %s", len(calls), n.Name)
	}
	return nil
}
