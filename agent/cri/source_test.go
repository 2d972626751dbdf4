package cri

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/fovea-obs/fovea/agent/endpoint"
)

// fake is a container runtime.
type fake struct {
	runtime.UnimplementedRuntimeServiceServer
	events chan struct{} // nil if it has none

	// questions are the ids of sandboxes that it was asked about.
	questions chan string

	mu        sync.Mutex
	sandboxes map[string]*runtime.PodSandboxStatus
}

func newFake(events chan struct{}) *fake {
	return &fake{events: events, questions: make(chan string, 64)}
}

func (f *fake) ListPodSandbox(_ context.Context, r *runtime.ListPodSandboxRequest) (*runtime.ListPodSandboxResponse, error) {
	if r.GetFilter().GetState().GetState() != runtime.PodSandboxState_SANDBOX_READY {
		return nil, status.Error(codes.InvalidArgument, "those that are not ready are no concern")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	list := &runtime.ListPodSandboxResponse{}
	for _, id := range slices.Sorted(maps.Keys(f.sandboxes)) {
		list.Items = append(list.Items, &runtime.PodSandbox{Id: id})
	}
	return list, nil
}

func (f *fake) PodSandboxStatus(_ context.Context, r *runtime.PodSandboxStatusRequest) (*runtime.PodSandboxStatusResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.questions <- r.GetPodSandboxId()
	s := f.sandboxes[r.GetPodSandboxId()]
	if s == nil || s.Id == "gone" {
		return nil, status.Error(codes.NotFound, "no such sandbox")
	}
	return &runtime.PodSandboxStatusResponse{Status: s}, nil
}

func (f *fake) GetContainerEvents(_ *runtime.GetEventsRequest, stream grpc.ServerStreamingServer[runtime.ContainerEventResponse]) error {
	if f.events == nil {
		return status.Error(codes.Unimplemented, "no events")
	}
	for {
		select {
		case <-stream.Context().Done():
			return nil
		case <-f.events:
			if err := stream.Send(&runtime.ContainerEventResponse{}); err != nil {
				return err
			}
		}
	}
}

// set changes which sandboxes there are.
func (f *fake) set(all ...*runtime.PodSandboxStatus) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sandboxes = map[string]*runtime.PodSandboxStatus{}
	for _, s := range all {
		f.sandboxes[s.Id] = s
	}
}

// serve starts the runtime, and returns what ends it.
func (f *fake) serve(t *testing.T, socket string) (stop func()) {
	t.Helper()
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	runtime.RegisterRuntimeServiceServer(s, f)
	var running sync.WaitGroup
	running.Go(func() { _ = s.Serve(l) })
	stop = sync.OnceFunc(func() { s.Stop(); running.Wait() })
	t.Cleanup(stop)
	return stop
}

// told keeps what a table is told, a line each.
type told struct{ lines chan string }

func (w told) Suggest(key string, b endpoint.Binding, at int64) {
	w.lines <- fmt.Sprintf("%s is %s at %v since %d", key, b.Endpoint.String(), b.Addresses, at)
}
func (w told) Withdraw(key string, at int64) { w.lines <- fmt.Sprintf("%s went at %d", key, at) }
func (w told) Write(b []byte) (int, error) {
	w.lines <- strings.TrimSpace(string(b))
	return len(b), nil
}
func (w told) want(t *testing.T, lines ...string) {
	t.Helper()
	for _, want := range lines {
		select {
		case got := <-w.lines:
			if !strings.HasPrefix(got, want) {
				t.Fatalf("told %q, want %q", got, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("not told %q", want)
		}
	}
}

// follow runs a source of which the table and the log are what is told.
func follow(t *testing.T, socket string) (*Source, told) {
	t.Helper()
	w := told{make(chan string, 64)}
	s := New(Config{
		Socket: socket, Cluster: "prod", Endpoints: w, Now: func() int64 { return 100 },
		Log: slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}})),
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s, w
}

func TestSource(t *testing.T) {
	for name, events := range map[string]chan struct{}{"with events": make(chan struct{}), "without": nil} {
		t.Run(name, func(t *testing.T) {
			f := newFake(events)
			happened := func() {
				if events != nil {
					events <- struct{}{}
				}
			}
			web, again := ready("uid-1", "web", "10.1.0.2"), ready("uid-1", "web", "10.1.0.3")
			again.Id, again.CreatedAt = "id-again", 20
			gone := ready("uid-9", "gone", "10.1.0.9")
			gone.Id = "gone"
			f.set(web, gone)
			socket := filepath.Join(t.TempDir(), "runtime.sock")
			f.serve(t, socket)
			s, w := follow(t, socket)
			w.want(t, "uid-1 is shop/web at [10.1.0.2] since 10")
			happened()

			late := ready("uid-2", "db")
			late.CreatedAt = 1000
			f.set(web, late)
			happened()
			if before := f.wantQuestion(t, late.Id); strings.Count(before, web.Id) != 1 {
				t.Errorf("asked about %s", before)
			}
			late = ready("uid-2", "db", "fd00::2")
			late.CreatedAt = 1000
			f.set(web, late)
			w.want(t, "uid-2 is shop/db at [fd00::2] since 100")

			// A sandbox that is made anew is the same pod's.
			f.set(web, again, late)
			happened()
			w.want(t, "uid-1 is shop/web at [10.1.0.3] since 20")
			f.set(web, late)
			happened()
			w.want(t, "uid-1 is shop/web at [10.1.0.2] since 10")
			f.set(late)
			happened()
			w.want(t, "uid-1 went at 100")
			if got := s.Degraded(); got != nil {
				t.Errorf("degraded: %v", got)
			}
		})
	}
}

// wantQuestion waits until the runtime is asked about a sandbox, and returns what
// it was asked about before.
func (f *fake) wantQuestion(t *testing.T, id string) (before string) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		select {
		case asked := <-f.questions:
			if asked == id {
				return before
			}
			before += " " + asked
		case <-deadline:
			t.Fatalf("not asked about %s, but about%s", id, before)
		}
	}
}

// TestAway has a runtime that is not there, comes, goes and comes again.
func TestAway(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "runtime.sock")
	s, w := follow(t, socket)
	w.want(t, `level=WARN msg="The container runtime does not answer, what is known of it stays"`)
	if got := s.Degraded(); len(got) != 1 {
		t.Errorf("degraded: %v", got)
	}
	f := newFake(nil)
	f.set(ready("uid-1", "web", "10.1.0.2"))
	stop := f.serve(t, socket)
	w.want(t, "uid-1 is shop/web", `level=INFO msg="The container runtime answers again"`)
	stop()
	w.want(t, "level=WARN")
	f.set(ready("uid-2", "db", "10.1.0.3"))
	f.serve(t, socket)
	w.want(t, "uid-1 went", "uid-2 is shop/db", "level=INFO")
	if got := s.Degraded(); got != nil {
		t.Errorf("degraded: %v", got)
	}
}
