package cri

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/fovea-obs/fovea/agent/endpoint"
)

const (
	// often is how often sandboxes are listed where no events are served, and
	// seldom where they are, in case one was missed.
	often, seldom = 500 * time.Millisecond, 30 * time.Second
	// After a failure it is tried again after retryFirst, then after twice as
	// long each time, up to retryMost.
	retryFirst, retryMost = 500 * time.Millisecond, 15 * time.Second
	// answerWithin is how long an answer may take.
	answerWithin = 10 * time.Second
	// maxAnswer is how long, in bytes: what a kubelet takes.
	maxAnswer = 16 << 20
)

// endpoints is what a source needs of an [endpoint.Table].
type endpoints interface {
	Suggest(key string, b endpoint.Binding, at int64)
	Withdraw(key string, at int64)
}

// Config says what a [Source] fills, and whom it asks. All fields are needed.
type Config struct {
	// Socket is the path of the runtime's unix socket.
	Socket string
	// Cluster is the name of this cluster.
	Cluster   string
	Endpoints endpoints
	// Now is the time in nanoseconds since 1970.
	Now func() int64
	Log *slog.Logger
}

// Source suggests the pods of this node to a table, as its runtime tells of them.
type Source struct {
	c Config
	// known are the sandboxes that the table was told of, by their ids, and those
	// of which nothing is to be told, which are nil.
	known map[string]*sandbox

	mu sync.Mutex
	// answers says that the last request was answered, told that the log says
	// that it was not.
	answers, told bool
}

// New returns a source that has asked nothing yet.
func New(c Config) *Source { return &Source{c: c, known: map[string]*sandbox{}} }

// Degraded returns container runtime while that does not answer.
func (s *Source) Degraded() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answers {
		return nil
	}
	return []string{"container runtime"}
}

// Run follows the runtime until ctx ends, which is no error.
func (s *Source) Run(ctx context.Context) error {
	retry := backoff.Config{BaseDelay: retryFirst, Multiplier: 2, Jitter: 0.2, MaxDelay: retryMost}
	// The path is none of a URL's.
	dial := func(ctx context.Context, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", s.c.Socket)
	}
	conn, err := grpc.NewClient("passthrough:///localhost", grpc.WithContextDialer(dial),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: retry, MinConnectTimeout: answerWithin}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)))
	if err != nil {
		return fmt.Errorf("make a client of the container runtime: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer func() {
		cancel()
		conn.Close()
		running.Wait()
	}()
	client := runtime.NewRuntimeServiceClient(conn)
	e := &events{client: client, happened: make(chan struct{}, 1)}
	running.Go(func() { e.follow(ctx) })
	s.follow(ctx, client, e)
	return nil
}

// follow lists the sandboxes again and again.
func (s *Source) follow(ctx context.Context, client runtime.RuntimeServiceClient, e *events) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	delay := retryFirst
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.happened:
		case <-timer.C:
		}
		whole, err := s.list(ctx, client)
		if ctx.Err() != nil {
			return
		}
		s.answered(err)
		switch {
		case err != nil:
			timer.Reset(delay)
			delay = min(2*delay, retryMost)
			continue
		case whole && e.served():
			timer.Reset(seldom)
		default:
			timer.Reset(often)
		}
		delay = retryFirst
	}
}

// list asks which sandboxes there are, and tells the table what has changed. It
// returns whether all have their addresses.
func (s *Source) list(ctx context.Context, client runtime.RuntimeServiceClient) (whole bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	ready := &runtime.PodSandboxFilter{State: &runtime.PodSandboxStateValue{State: runtime.PodSandboxState_SANDBOX_READY}}
	list, err := client.ListPodSandbox(ctx, &runtime.ListPodSandboxRequest{Filter: ready})
	if err != nil {
		return false, fmt.Errorf("list sandboxes: %w", err)
	}
	there := make(map[string]bool, len(list.GetItems()))
	for _, item := range list.GetItems() {
		there[item.GetId()] = true
	}
	s.forget(there)
	whole = true
	for _, item := range list.GetItems() {
		id := item.GetId()
		if _, ok := s.known[id]; ok {
			continue
		}
		answer, err := client.PodSandboxStatus(ctx, &runtime.PodSandboxStatusRequest{PodSandboxId: id})
		switch {
		case status.Code(err) == codes.NotFound:
		case err != nil:
			return false, fmt.Errorf("ask for sandbox %s: %w", id, err)
		default:
			whole = s.take(id, convert(answer.GetStatus(), s.c.Cluster)) && whole
		}
	}
	return whole, nil
}

// take tells the table of a new sandbox, and returns whether it has addresses, if
// it is to have them. Of two of one pod, the later is the pod's.
func (s *Source) take(id string, b *sandbox) bool {
	if b != nil && len(b.binding.Addresses) == 0 {
		return false
	}
	s.known[id] = b
	if b != nil && s.newest(b.key) == b {
		s.suggest(b)
	}
	return true
}

func (s *Source) suggest(b *sandbox) {
	s.c.Endpoints.Suggest(b.key, b.binding, min(b.created, s.c.Now()))
}

// forget takes back what was told of sandboxes that are not there any more.
func (s *Source) forget(there map[string]bool) {
	for _, id := range slices.Sorted(maps.Keys(s.known)) {
		b := s.known[id]
		if there[id] {
			continue
		}
		delete(s.known, id)
		switch {
		case b == nil:
		case s.newest(b.key) == nil:
			s.c.Endpoints.Withdraw(b.key, s.c.Now())
		default:
			s.suggest(s.newest(b.key))
		}
	}
}

// newest returns the pod's last sandbox, nil if it has none.
func (s *Source) newest(key string) (last *sandbox) {
	for _, b := range s.known {
		if b != nil && b.key == key && (last == nil || b.created > last.created) {
			last = b
		}
	}
	return last
}

// answered says how asking ended.
func (s *Source) answered(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers = err == nil
	switch {
	case err != nil && !s.told:
		s.told = true
		s.c.Log.Warn("The container runtime does not answer, what is known of it stays", "socket", s.c.Socket, "error", err)
	case err == nil && s.told:
		s.told = false
		s.c.Log.Info("The container runtime answers again", "socket", s.c.Socket)
	}
}
