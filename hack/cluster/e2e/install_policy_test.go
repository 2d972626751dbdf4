//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/fovea-obs/fovea/hack/netpol"
)

// enforceEvery is how soon the nodes enforce what has changed.
const enforceEvery = 200 * time.Millisecond

// enforcePolicies has the nodes enforce the network policies that there are, as a
// cluster's engine does, until the test ends. If that fails, so does all that has the
// context returned.
func (i *installTest) enforcePolicies(ctx context.Context, t *testing.T) context.Context {
	t.Helper()
	until, stop := context.WithCancel(ctx)
	enforced, fail := context.WithCancelCause(ctx)
	api := newAPI(t, i.fixture)
	done := make(chan error, 1)
	go func() {
		err := i.enforce(until, api)
		fail(err)
		done <- err
	}()
	t.Cleanup(func() {
		stop()
		check(t, <-done)
	})
	return enforced
}

func (i *installTest) enforce(ctx context.Context, api *api) error {
	enforced := map[string]string{}
	tick := time.NewTicker(enforceEvery)
	defer tick.Stop()
	for {
		o, err := policyObjects(ctx, api)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		for _, n := range i.Nodes() {
			rules, err := netpol.Ruleset(n.Name, o)
			if err != nil {
				return fmt.Errorf("rules of %s: %w", n.Name, err)
			}
			if rules == enforced[n.Name] {
				continue
			}
			if err := netpol.Enforce(ctx, n.NS, n.Name, o); err != nil && ctx.Err() == nil {
				return err
			}
			enforced[n.Name] = rules
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// policyObjects is what the API says that policies speak of.
func policyObjects(ctx context.Context, api *api) (netpol.Objects, error) {
	var namespaces corev1.NamespaceList
	var pods corev1.PodList
	var policies networkingv1.NetworkPolicyList
	for path, to := range map[string]any{
		"/api/v1/namespaces": &namespaces, "/api/v1/pods": &pods, networking + "networkpolicies": &policies,
	} {
		if err := api.do(ctx, http.MethodGet, path, nil, to); err != nil {
			return netpol.Objects{}, err
		}
	}
	return netpol.Objects{Namespaces: namespaces.Items, Pods: pods.Items, Policies: policies.Items}, nil
}
