//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	"github.com/fsnotify/fsnotify"

	"github.com/fovea-obs/fovea/hack/cluster/workload/report"
)

const (
	// churnTime is for how long pods are deleted and made anew, churnEvery how
	// often the oldest is.
	churnTime  = 2 * time.Minute
	churnEvery = 400 * time.Millisecond
	// soon is what is soon for an address to be another pod's. How often it is
	// sooner than that depends on the machine; within atLeast it must be, which is
	// well within the time that an address is remembered.
	soon    = time.Second
	atLeast = 20 * time.Second
)

// testChurn deletes pods again and again, of which the next get the addresses. The
// servers that they call say who called: nobody may be told as another.
func testChurn(t *testing.T, f *fixture) {
	ctx, cancel := context.WithTimeout(t.Context(), churnTime+testTimeout)
	defer cancel()
	servers, err := f.pods(ctx, "shop", "back")
	check(t, err)
	var urls []string
	for _, s := range servers {
		for _, a := range s.addrs {
			urls = append(urls, "http://"+netip.AddrPortFrom(a, 8080).String())
		}
	}
	flows, given := f.follow(t), f.watchAddresses(t)
	began := time.Now()
	f.apply(ctx, t, "churn.yaml", "$SERVERS", quoted(urls))
	f.rollOut(ctx, t, "shop", "deployment/churn")
	f.churn(ctx, t)
	_, err = f.Kubectl(ctx, "--namespace", "shop", "delete", "deployment", "churn")
	check(t, err)
	var calls []report.Connection
	for _, s := range servers {
		reports, err := f.reports(ctx, s)
		check(t, err)
		calls = append(calls, reports...)
	}
	// What is still waited for is told by then.
	eventually(ctx, t, func() error { return flows.after(time.Now().Add(-time.Second)) })
	flows.stop()
	check(t, errors.Join(flows.errs...))

	callers := map[[2]netip.AddrPort][]report.Connection{}
	for _, c := range calls {
		if c.Event == report.Accepted && c.Time.After(began) && strings.HasPrefix(c.Peer, "shop/churn-") {
			key := [2]netip.AddrPort{c.Remote, c.Local}
			callers[key] = append(callers[key], c)
		}
	}
	quick, least := given.reuse()
	tally := churnTally{callers: callers, given: given.times}
	for _, flow := range flows.flows {
		tally.judge(t, flow)
	}
	t.Logf("%d addresses given on within %v, the quickest in %v; %d flows of callers: %d named, %d unknown, %d wrong",
		quick, soon, least, tally.named+tally.unknown+tally.wrong, tally.named, tally.unknown, tally.wrong)
	if least > atLeast {
		t.Errorf("no address was another pod's within %v", atLeast)
	}
	if tally.wrong > 0 || tally.named == 0 {
		t.Errorf("%d flows are told as of another pod, %d as of the right one", tally.wrong, tally.named)
	}
}

// churn deletes the oldest pod again and again, at times with no notice.
func (f *fixture) churn(ctx context.Context, t *testing.T) {
	t.Helper()
	tick := time.NewTicker(churnEvery)
	defer tick.Stop()
	end := time.After(churnTime)
	for round := 1; ; round++ {
		check(t, f.deleteOldest(ctx, round%4 == 0))
		select {
		case <-tick.C:
		case <-end:
			return
		}
	}
}

func (f *fixture) deleteOldest(ctx context.Context, force bool) error {
	text, err := f.Kubectl(ctx, "--namespace", "shop", "get", "pods", "--selector", "app=churn",
		"--field-selector", "status.phase=Running", "--sort-by", "{.metadata.creationTimestamp}", "--output", "json")
	if err != nil {
		return err
	}
	var running struct {
		Items []struct {
			Metadata struct{ Name, DeletionTimestamp string }
		}
	}
	if err := json.Unmarshal([]byte(text), &running); err != nil {
		return fmt.Errorf("read pods: %w", err)
	}
	oldest := ""
	for _, p := range running.Items {
		if p.Metadata.DeletionTimestamp == "" {
			oldest = p.Metadata.Name
			break
		}
	}
	if oldest == "" {
		return nil
	}
	args := []string{"--namespace", "shop", "delete", "pod", oldest, "--wait=false", "--ignore-not-found"}
	if force {
		args = append(args, "--force", "--grace-period=0")
	}
	_, err = f.Kubectl(ctx, args...)
	return err
}

// after tells whether there are flows from after a time on all nodes.
func (f *follower) after(at time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	nodes := map[string]bool{}
	for _, flow := range slices.Backward(f.flows) {
		if flow.GetTime().AsTime().After(at) {
			nodes[flow.GetNodeName()] = true
		}
		if len(nodes) == 2 {
			return nil
		}
	}
	return errors.New("flows end too early")
}

// churnTally counts flows of callers.
type churnTally struct {
	callers map[[2]netip.AddrPort][]report.Connection
	// given are the times at which an address became a pod's.
	given                 map[netip.Addr][]time.Time
	named, unknown, wrong int
	shown                 int
}

// judge holds the end of a flow that called against what the server heard.
func (c *churnTally) judge(t *testing.T, f *flowpb.Flow) {
	t.Helper()
	src, dst, ok := ends(f)
	if !ok {
		return
	}
	caller, from := f.GetSource(), src.Addr()
	calls := c.callers[[2]netip.AddrPort{src, dst}]
	if calls == nil {
		caller, calls, from = f.GetDestination(), c.callers[[2]netip.AddrPort{dst, src}], dst.Addr()
	}
	// A connection that a pod did not get to say a word on is in no report, and
	// the next with its address may have its port.
	want := peer(calls, f.GetTime().AsTime())
	if want == "" || c.another(from, calls, f.GetTime().AsTime()) {
		return
	}
	switch who := name(caller); {
	case who == want:
		c.named++
	case isUnknown(who):
		c.unknown++
	default:
		c.wrong++
		if c.shown++; c.shown <= 5 {
			t.Errorf("%s called, told is %s: %v\nheard: %v\nits address was given at %v", want, who, f, calls, c.given[from])
		}
	}
}

// another tells whether the address was given to another pod between a call and a
// time. What the server still sends after that, as a FIN that nobody acknowledged, is
// the other's; and one that was there before may have had the same ports.
func (c *churnTally) another(from netip.Addr, calls []report.Connection, at time.Time) bool {
	return slices.ContainsFunc(c.given[from], func(given time.Time) bool {
		return slices.ContainsFunc(calls, func(r report.Connection) bool {
			return isNear(&r, at) && r.Time.Before(given) != at.Before(given)
		})
	})
}

// givenAddresses is when addresses of pods were given and taken back, as the CNI
// plugins' own files tell: one for each address that is a pod's.
type givenAddresses struct {
	watcher *fsnotify.Watcher
	ended   chan struct{}
	// free is since when addresses are nobody's, pauses are how long they were.
	free   map[string]time.Time
	pauses []time.Duration
	// times are when each was given.
	times map[netip.Addr][]time.Time
}

// watchAddresses watches the addresses of all nodes until reuse is called.
func (f *fixture) watchAddresses(t *testing.T) *givenAddresses {
	t.Helper()
	w, err := fsnotify.NewWatcher()
	check(t, err)
	for _, n := range f.Nodes() {
		check(t, w.Add(n.Dir("/run/cni/pods")))
	}
	g := &givenAddresses{watcher: w, ended: make(chan struct{}), free: map[string]time.Time{}, times: map[netip.Addr][]time.Time{}}
	go g.watch()
	return g
}

func (g *givenAddresses) watch() {
	defer close(g.ended)
	for e := range g.watcher.Events {
		addr, err := netip.ParseAddr(filepath.Base(e.Name))
		if err != nil {
			continue
		}
		switch {
		case e.Has(fsnotify.Remove):
			g.free[e.Name] = time.Now()
		case e.Has(fsnotify.Create):
			g.times[addr] = append(g.times[addr], time.Now())
			if since, ok := g.free[e.Name]; ok {
				g.pauses = append(g.pauses, time.Since(since))
			}
		}
	}
}

// reuse returns how often an address was soon given to another pod, and how soon
// at least.
func (g *givenAddresses) reuse() (quick int, least time.Duration) {
	g.watcher.Close()
	<-g.ended
	least = churnTime
	for _, p := range g.pauses {
		least = min(least, p)
		if p <= soon {
			quick++
		}
	}
	return quick, least
}
