package cri

import (
	"context"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// events follows the runtime's events. What happened does not matter: what there
// is by then is listed.
type events struct {
	client runtime.RuntimeServiceClient
	// happened gets a value when something did, or may have.
	happened chan struct{}
	open     atomic.Bool
}

// served tells whether events come.
func (e *events) served() bool { return e.open.Load() }

// follow follows them until ctx ends, or it is known that there are none.
func (e *events) follow(ctx context.Context) {
	for {
		err := e.receive(ctx)
		if e.open.Swap(false) {
			e.poke()
		}
		// Containerd before 1.7 has none.
		if status.Code(err) == codes.Unimplemented {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(retryFirst):
		}
	}
}

// receive receives events until that fails.
func (e *events) receive(ctx context.Context) error {
	stream, err := e.client.GetContainerEvents(ctx, &runtime.GetEventsRequest{})
	if err != nil {
		return err
	}
	for {
		if _, err := stream.Recv(); err != nil {
			return err
		}
		// A runtime that has none says so at the first one only.
		e.open.Store(true)
		e.poke()
	}
}

func (e *events) poke() {
	select {
	case e.happened <- struct{}{}:
	default:
	}
}
