//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	"github.com/google/go-cmp/cmp"
)

// maxAway is for how long a node may have no flows while its agent is replaced: it is
// some 5 s on an idle machine, most of it the kubelet's.
const maxAway = 20 * time.Second

// testUpgrade replaces all agents while a client follows, and then the relay.
func (i *installTest) testUpgrade(ctx context.Context, t *testing.T) {
	certificates := i.secrets(ctx, t)
	before := i.uids(ctx, t, "fovea")
	relay := i.uids(ctx, t, "hubble-relay")
	seen := i.followRelay(ctx, t)
	eventually(ctx, t, func() error { return seen.after(i.nodeNames(), time.Time{}) })

	upgrade := strings.TrimSpace(i.documents.take(t, "install.md", "Upgrade"))
	i.run(ctx, t, upgrade+" --set agent.aggregationInterval=4s")
	i.run(ctx, t, "kubectl --namespace kube-system rollout status daemonset/fovea --timeout=1m")
	upgraded := time.Now()
	eventually(ctx, t, func() error { return seen.after(i.nodeNames(), upgraded) })
	for node, uid := range i.uids(ctx, t, "fovea") {
		if before[node] == uid {
			t.Errorf("the agent of %s is the same", node)
		}
	}
	if diff := cmp.Diff(relay, i.uids(ctx, t, "hubble-relay")); diff != "" {
		t.Errorf("the relay was replaced, before - and after +\n%s", diff)
	}
	seen.judge(t)

	i.run(ctx, t, upgrade+" --set relay.replicas=2,relay.podAnnotations.test=upgrade")
	i.awaitRelays(ctx, t)
	for node, uid := range i.uids(ctx, t, "hubble-relay") {
		if relay[node] == uid {
			t.Errorf("the relay on %s is the same", node)
		}
	}
	i.run(ctx, t, "hubble observe -P --last 1")
	if diff := cmp.Diff(certificates, i.secrets(ctx, t)); diff != "" {
		t.Errorf("certificates, before - and after +\n%s", diff)
	}
}

// testRotation replaces the authority and all certificates.
func (i *installTest) testRotation(ctx context.Context, t *testing.T) {
	before := i.secrets(ctx, t)
	// There is no Hubble UI here. Agents that restart need not wait for their kubelet,
	// which looks after Secrets once a minute.
	i.run(ctx, t, strings.ReplaceAll(i.documents.take(t, "install.md", "All anew"), " deployment/hubble-ui", " daemonset/fovea"))
	for name, data := range i.secrets(ctx, t) {
		if before[name] == data {
			t.Errorf("%s is the same", name)
		}
	}
	i.awaitRelays(ctx, t)
	if text, err := i.shell.run(ctx, "hubble status -P"); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("who has the former certificates is told: %s, %v", text, err)
	}
	i.run(ctx, t, i.ask)
	eventually(ctx, t, func() error {
		text, err := i.shell.run(ctx, "hubble status -P")
		if err == nil && !strings.Contains(text, fmt.Sprintf("Connected Nodes: %d/%[1]d", len(i.Nodes()))) {
			err = fmt.Errorf("not all nodes are connected: %s", text)
		}
		return err
	})
}

// awaitRelays waits until all relays are the newest, and none of those before is left: one
// that ends still answers for a while.
func (i *installTest) awaitRelays(ctx context.Context, t *testing.T) {
	t.Helper()
	i.run(ctx, t, "kubectl --namespace kube-system rollout status deployment/hubble-relay --timeout=1m")
	eventually(ctx, t, func() error {
		text, err := i.shell.run(ctx, "kubectl --namespace kube-system get pods --selector k8s-app=hubble-relay"+
			` --output go-template='{{range .items}}{{if .metadata.deletionTimestamp}}{{.metadata.name}} {{end}}{{end}}'`)
		if err == nil && text != "" {
			err = fmt.Errorf("not gone yet: %s", text)
		}
		return err
	})
}

func (i *installTest) nodeNames() (names []string) {
	for _, n := range i.Nodes() {
		names = append(names, n.Name)
	}
	return names
}

// uids are those of the pods of an app, by their nodes.
func (i *installTest) uids(ctx context.Context, t *testing.T, app string) map[string]string {
	t.Helper()
	text := i.run(ctx, t, "kubectl --namespace kube-system get pods --selector k8s-app="+app+
		` --output go-template='{{range .items}}{{.spec.nodeName}} {{.metadata.uid}}{{"\n"}}{{end}}'`)
	all := map[string]string{}
	for line := range strings.Lines(text) {
		node, uid, _ := strings.Cut(strings.TrimSpace(line), " ")
		all[node] = uid
	}
	return all
}

// secrets are the data of those in the namespace, in JSON.
func (i *installTest) secrets(ctx context.Context, t *testing.T) map[string]string {
	t.Helper()
	text := i.run(ctx, t, "kubectl --namespace kube-system get secrets --field-selector type=kubernetes.io/tls --output json")
	var list struct {
		Items []struct {
			Metadata struct{ Name string }
			Data     map[string]string
		}
	}
	check(t, json.Unmarshal([]byte(text), &list))
	all := map[string]string{}
	for _, s := range list.Items {
		for key, value := range s.Data {
			all[s.Metadata.Name+" "+key] = value
		}
	}
	if all["hubble-relay-client-certs tls.crt"] == "" {
		t.Fatal("there is no certificate for clients")
	}
	return all
}

// seenFlows are what the stock hubble shows while it follows the relay.
type seenFlows struct {
	mu sync.Mutex
	// last is when the newest flow of each node was, gap the longest time between two.
	last map[string]time.Time
	gap  map[string]time.Duration
	// flows is how many came, twice those of them that came again, by their uuids.
	flows, twice int
	known        map[string]bool
	// pods are addresses of pods that were there all the time, outside a flow that tells
	// one of them as outside the cluster.
	pods    map[string]bool
	outside *flowpb.Flow
	ended   error
}

// followRelay has hubble follow all flows by one port-forward, until the test ends.
func (i *installTest) followRelay(ctx context.Context, t *testing.T) *seenFlows {
	t.Helper()
	s := &seenFlows{last: map[string]time.Time{}, gap: map[string]time.Duration{}, known: map[string]bool{}, pods: map[string]bool{}}
	for _, app := range []string{"server", "client"} {
		pods, err := i.pods(ctx, "watched", app)
		check(t, err)
		for _, p := range pods {
			for _, a := range p.addrs {
				s.pods[a.String()] = true
			}
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	cmd := i.shell.command(ctx, "exec hubble observe --port-forward --port-forward-port 4246 --follow --output jsonpb")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, i.Control().NS.Start(cmd))
	var done sync.WaitGroup
	done.Go(func() {
		read := eachFlow(out, s.take)
		if err := cmd.Wait(); ctx.Err() == nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.ended = fmt.Errorf("hubble ended: %w, %w: %s", err, read, errs.String())
		}
	})
	t.Cleanup(func() {
		cancel()
		done.Wait()
	})
	return s
}

func (s *seenFlows) take(f *flowpb.Flow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, node, found := strings.Cut(f.GetNodeName(), "/")
	if !found {
		node = f.GetNodeName()
	}
	at := f.GetTime().AsTime()
	if last := s.last[node]; !last.IsZero() {
		s.gap[node] = max(s.gap[node], at.Sub(last))
	}
	s.last[node] = at
	s.flows++
	if s.known[f.GetUuid()] {
		s.twice++
	}
	s.known[f.GetUuid()] = true
	if s.pods[f.GetIP().GetSource()] && isWorld(f.GetSource()) || s.pods[f.GetIP().GetDestination()] && isWorld(f.GetDestination()) {
		s.outside = f
	}
}

func isWorld(e *flowpb.Endpoint) bool { return slices.Contains(e.GetLabels(), "reserved:world") }

// after tells whether each node has had a flow after a time.
func (s *seenFlows) after(nodes []string, at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		return s.ended
	}
	for _, n := range nodes {
		if !s.last[n].After(at) {
			return fmt.Errorf("the last flow of %s is of %v, want one after %v", n, s.last[n], at)
		}
	}
	return nil
}

func (s *seenFlows) judge(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	t.Logf("%d flows, the longest time without one: %v", s.flows, s.gap)
	if s.twice > 0 {
		t.Errorf("%d flows came twice", s.twice)
	}
	if s.outside != nil {
		t.Errorf("a pod is told as outside the cluster: %v", s.outside)
	}
	for node, gap := range s.gap {
		if gap > maxAway {
			t.Errorf("%s had no flows for %v, want at most %v", node, gap, maxAway)
		}
	}
}
