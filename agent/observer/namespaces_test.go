package observer

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	"github.com/google/go-cmp/cmp"

	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/history"
)

// names lists namespaces as cluster/namespace.
func (f *fixture) names(t *testing.T) []string {
	t.Helper()
	r, err := f.server.GetNamespaces(context.Background(), &observerpb.GetNamespacesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, n := range r.GetNamespaces() {
		out = append(out, n.GetCluster()+"/"+n.GetNamespace())
	}
	return out
}

// TestNamespaces has some that are seen, and forgotten an hour later.
func TestNamespaces(t *testing.T) {
	f := newFixture(t)
	for _, name := range []string{"b/x", "a/x", "b/y", "never/x"} {
		f.pod(name, "192.0.2.1", endpoint.Workload{}, nil)
	}
	other := uint32(f.endpoints.Hold(endpoint.ForPod("default", "z", "x", nil, nil)))
	f.write(t, "udp b/x:1 -> b/y:2", "udp b/x:1 -> 192.0.2.9:2")
	f.append(history.Record{Kind: history.KindTrace, Source: other})
	if diff := cmp.Diff([]string{"/z", "prod/b"}, f.names(t)); diff != "" {
		t.Error(diff)
	}
	f.written.Add(3500)
	f.write(t, "udp a/x:1 -> 192.0.2.9:2")
	if diff := cmp.Diff([]string{"/z", "prod/a", "prod/b"}, f.names(t)); diff != "" {
		t.Error(diff)
	}
	f.written.Add(100)
	if diff := cmp.Diff([]string{"prod/a"}, f.names(t)); diff != "" {
		t.Error(diff)
	}
}

// TestRun has namespaces that are known though their flows were overwritten.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.pod("early/x", "192.0.2.1", endpoint.Workload{}, nil)
		f.pod("later/x", "192.0.2.1", endpoint.Workload{}, nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- f.server.Run(ctx) }()
		synctest.Wait()
		f.write(t, "udp early/x:1 -> 192.0.2.9:2")
		time.Sleep(trackEvery)
		synctest.Wait()
		f.write(t, "udp later/x:1 -> 192.0.2.9:2")
		time.Sleep(trackEvery)
		synctest.Wait()
		// Too fast to be read by the way.
		for range 2*history.ChunkSize + 1 {
			f.append(history.Record{Kind: history.KindTrace})
		}
		f.written.Store(10)
		if diff := cmp.Diff([]string{"prod/early", "prod/later"}, f.names(t)); diff != "" {
			t.Error(diff)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestNamespacesAreForgotten has one that nobody asks for.
func TestNamespacesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.pod("a/x", "192.0.2.1", endpoint.Workload{}, nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- f.server.Run(ctx) }()
		f.write(t, "udp a/x:1 -> 192.0.2.9:2")
		time.Sleep(trackEvery)
		f.written.Add(2 * int64(rememberNamespace/time.Second))
		f.write(t, "udp 192.0.2.8:1 -> 192.0.2.9:2")
		time.Sleep(trackEvery)
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if len(f.server.namespaces.seen) > 0 {
			t.Errorf("still known: %v", f.server.namespaces.seen)
		}
	})
}

// churn writes a flow of a pod that is new, and has the pod forgotten again when
// its flows are overwritten.
func (f *fixture) churn(namespace string) (number endpoint.Number) {
	number = f.endpoints.Hold(endpoint.ForPod("prod", namespace, "x", nil, nil))
	f.append(history.Record{Kind: history.KindTrace, Source: uint32(number)})
	f.endpoints.Drop(number)
	return number
}

// release is what ingest does now and then.
func (f *fixture) release() {
	used := f.history.Used()
	f.endpoints.Release(func(n endpoint.Number) bool { return used.Endpoints.Has(uint32(n)) })
}

// TestNamespacesOfReusedNumbers has a number that stands for one pod after the
// other, some of which have no flows.
func TestNamespacesOfReusedNumbers(t *testing.T) {
	f := newFixture(t)
	f.config.Now = func() time.Time { return time.Unix(0, 0) }
	f.restart()
	number := f.churn("a")
	if diff := cmp.Diff([]string{"prod/a"}, f.names(t)); diff != "" {
		t.Error(diff)
	}
	for _, tt := range []struct {
		name string
		flow bool
		want []string
	}{
		{"never", false, []string{"prod/a"}},
		{"b", true, []string{"prod/a", "prod/b"}},
		{"again", false, []string{"prod/a", "prod/b"}},
	} {
		f.fill(2*history.ChunkSize + 1)
		f.release()
		pod := endpoint.ForPod("prod", tt.name, "x", nil, nil)
		got := f.endpoints.Hold(pod)
		if got != number {
			t.Fatalf("%s has number %d, want %d again", tt.name, got, number)
		}
		if tt.flow {
			f.churn(tt.name)
		}
		if diff := cmp.Diff(tt.want, f.names(t)); diff != "" {
			t.Errorf("after %s: %s", tt.name, diff)
		}
		f.endpoints.Drop(got)
	}
}

// TestNamespacesOfAHeldChunk has the ring go round while a chunk is looked at: its
// numbers are not used again until it is released.
func TestNamespacesOfAHeldChunk(t *testing.T) {
	f := newFixture(t)
	number := f.churn("a")
	segment, err := f.history.Segment(0)
	if err != nil {
		t.Fatal(err)
	}
	f.fill(2*history.ChunkSize + 1)
	f.release()
	if got := f.endpoints.Hold(endpoint.ForPod("prod", "never", "x", nil, nil)); got == number {
		t.Errorf("number %d is used again", got)
	}
	f.server.namespaces.note(&segment)
	segment.Release()
	if got, want := slices.Collect(maps.Keys(f.server.namespaces.seen)), (space{"prod", "a"}); len(got) != 1 || got[0] != want {
		t.Errorf("got %v, want %v", got, want)
	}
	f.release()
	if got := f.endpoints.Hold(endpoint.ForPod("prod", "other", "x", nil, nil)); got != number {
		t.Errorf("got number %d, want %d again", got, number)
	}
}

// TestNamespacesWhileNumbersAreReused reads beside a writer that goes round the
// ring while pods come and go. Every second pod has no flow.
func TestNamespacesWhileNumbersAreReused(t *testing.T) {
	f := newFixture(t)
	f.config.Now = func() time.Time { return time.Unix(0, 0) }
	f.restart()
	const rounds, flows = 3000, 20
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range rounds {
			unseen := f.endpoints.Hold(endpoint.ForPod("prod", fmt.Sprint("never-", i), "x", nil, nil))
			number := f.churn(fmt.Sprint("seen-", i))
			for range flows {
				f.append(history.Record{Kind: history.KindTrace, Destination: uint32(number)})
			}
			f.endpoints.Drop(unseen)
			if i%100 == 0 {
				f.release()
			}
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		for _, name := range f.names(t) {
			if !strings.HasPrefix(name, "prod/seen-") {
				t.Fatalf("%s is listed, which had no flow", name)
			}
		}
	}
	if f.endpoints.Epoch() == 0 || f.endpoints.Len() > rounds {
		t.Errorf("no number was used again: %d", f.endpoints.Len())
	}
}
