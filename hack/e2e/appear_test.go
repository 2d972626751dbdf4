package e2e

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/fovea-obs/fovea/hack/lab"
)

// appearance is when an interface was first told of.
type appearance struct {
	name  string
	index int
	at    time.Time
}

// appearances tells of each interface that appears in the namespace from now
// on, until the test ends.
func appearances(t *testing.T, ns *lab.Namespace) <-chan appearance {
	t.Helper()
	updates, out := make(chan netlink.LinkUpdate, 64), make(chan appearance, 64)
	done := make(chan struct{})
	handle := netns.NsHandle(ns.FD())
	check(t, netlink.LinkSubscribeWithOptions(updates, done, netlink.LinkSubscribeOptions{Namespace: &handle}))
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		known := map[int]bool{}
		for u := range updates {
			index := u.Attrs().Index
			if u.Header.Type == unix.RTM_NEWLINK && !known[index] {
				known[index] = true
				out <- appearance{u.Attrs().Name, index, time.Now()}
			}
		}
	}()
	t.Cleanup(func() {
		close(done)
		<-finished
	})
	return out
}

// awaitAppearance waits for the named interface.
func awaitAppearance(ctx context.Context, seen <-chan appearance, name string) (appearance, error) {
	for {
		select {
		case a := <-seen:
			if a.name == name {
				return a, nil
			}
		case <-ctx.Done():
			return appearance{}, fmt.Errorf("wait for interface %s: %w", name, ctx.Err())
		}
	}
}

// awaitAttached waits until there are programs both ways at the interface, by
// TCX, and returns when. Nothing tells of it, so it asks again and again.
func awaitAttached(ctx context.Context, ns *lab.Namespace, index int) (at time.Time, err error) {
	err = ns.Do(func() error {
		for {
			ok, err := hasPrograms(index)
			if at = time.Now(); ok || err != nil {
				return err
			}
			if ctx.Err() != nil {
				return fmt.Errorf("wait for programs at interface %d: %w", index, ctx.Err())
			}
			runtime.Gosched()
			time.Sleep(100 * time.Microsecond)
		}
	})
	return at, err
}

// hasPrograms tells whether TCX programs are attached both ways.
func hasPrograms(index int) (bool, error) {
	for _, way := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
		r, err := link.QueryPrograms(link.QueryOptions{Target: index, Attach: way})
		if errors.Is(err, unix.ENOENT) || err == nil && len(r.Programs) == 0 {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("query programs of interface %d: %w", index, err)
		}
	}
	return true, nil
}
