//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/fovea-obs/fovea/hack/cluster/workload/report"
)

func testClients(t *testing.T, f *fixture) {
	ctx := testContext(t)
	f.apply(ctx, t, "servers.yaml")
	f.rollOut(ctx, t, "shop", "deployment/front", "deployment/mid", "deployment/back", "statefulset/db", "daemonset/host")
	f.apply(ctx, t, "clients.yaml")
	f.rollOut(ctx, t, "shop", "daemonset/client")
	clients, err := f.pods(ctx, "shop", "client")
	check(t, err)
	if len(clients) != len(f.Nodes()) {
		t.Fatalf("clients %v", clients)
	}
	for _, c := range clients {
		eventually(ctx, t, func() error {
			reports, err := f.reports(ctx, c)
			if err != nil {
				return err
			}
			return f.calledAll(c, reports)
		})
	}
	for _, app := range []string{"front", "mid", "host"} {
		f.calledOnward(ctx, t, app)
	}
}

// calledAll tells whether a client reached each target, by both families where
// there are two, and what was missing.
func (f *fixture) calledAll(c pod, reports []report.Connection) error {
	var errs []error
	for _, target := range f.targets() {
		u, err := url.Parse(target.url)
		if err != nil {
			return err
		}
		v4, v6, last := false, false, ""
		for _, r := range reports {
			if r.Name != u.Hostname() || fmt.Sprint(r.Remote.Port()) != u.Port() || (r.Protocol == "udp") != (u.Scheme == "udp") {
				continue
			}
			if r.Error != "" || !strings.HasPrefix(r.Peer, target.answers) {
				last = fmt.Sprintf(", but by %q: %s", r.Peer, r.Error)
				continue
			}
			v4, v6 = v4 || r.Remote.Addr().Is4(), v6 || r.Remote.Addr().Is6()
		}
		if target.both && !(v4 && v6) || !v4 && !v6 {
			errs = append(errs, fmt.Errorf("%s on %s called %s: IPv4 %t, IPv6 %t%s", c.name, c.node, target.url, v4, v6, last))
		}
	}
	return errors.Join(errs...)
}

// calledOnward checks that each server of an app was called and called others.
func (f *fixture) calledOnward(ctx context.Context, t *testing.T, app string) {
	t.Helper()
	servers, err := f.pods(ctx, "shop", app)
	check(t, err)
	if len(servers) == 0 {
		t.Fatalf("no pods of %s", app)
	}
	for _, s := range servers {
		reports, err := f.reports(ctx, s)
		check(t, err)
		accepted, called := 0, 0
		for _, r := range reports {
			switch {
			case r.Event == report.Accepted && r.Peer != "":
				accepted++
			case r.Event == report.Called && r.Peer != "" && r.Error == "":
				called++
			}
		}
		if accepted == 0 || called == 0 {
			t.Errorf("%s accepted %d connections and made %d", s.name, accepted, called)
		}
	}
}

func testCronJob(t *testing.T, f *fixture) {
	ctx := testContext(t)
	eventually(ctx, t, func() error {
		done, err := f.Kubectl(ctx, "--namespace", "shop", "get", "pods", "--selector", "app=report",
			"--field-selector", "status.phase=Succeeded", "--output", "name")
		if err == nil && done == "" {
			err = errors.New("no job ended well")
		}
		return err
	})
}

// testWithoutAPIServer takes the API server away for a while, in which the
// shop's traffic must go on.
func testWithoutAPIServer(t *testing.T, f *fixture) {
	ctx := testContext(t)
	check(t, f.StopAPIServer())
	stopped := time.Now()
	if _, err := f.Kubectl(ctx, "get", "nodes"); err == nil {
		t.Error("the API server answers after it was stopped")
	}
	check(t, f.StartAPIServer(ctx))
	started := time.Now()
	clients, err := f.pods(ctx, "shop", "client")
	check(t, err)
	for _, c := range clients {
		reports, err := f.reports(ctx, c)
		check(t, err)
		between := 0
		for _, r := range reports {
			if r.Time.After(stopped) && r.Time.Before(started) && r.Error == "" {
				between++
			}
		}
		if between == 0 {
			t.Errorf("%s reached nobody in the %v without API server", c.name, started.Sub(stopped))
		}
	}
	_, err = f.Kubectl(ctx, "wait", "--for=condition=Ready", "node", "--all", "--timeout=1m")
	check(t, err)
}
