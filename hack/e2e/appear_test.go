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
	gone  bool // it was the disappearance
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
			gone := u.Header.Type == unix.RTM_DELLINK
			if gone || !known[index] {
				known[index] = !gone
				out <- appearance{u.Attrs().Name, index, gone, time.Now()}
			}
		}
	}()
	t.Cleanup(func() {
		close(done)
		<-finished
	})
	return out
}

// awaitAppearance waits for the named interface to come, or to go.
func awaitAppearance(ctx context.Context, seen <-chan appearance, name string, gone bool) (appearance, error) {
	for {
		select {
		case a := <-seen:
			if a.name == name && a.gone == gone {
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

// hasPrograms tells whether TCX programs are attached both ways at an interface
// of the calling thread's namespace.
func hasPrograms(index int) (bool, error) {
	for _, way := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
		if n, err := countTCX(index, way); n == 0 || err != nil {
			return false, err
		}
	}
	return true, nil
}

func countTCX(index int, way ebpf.AttachType) (int, error) {
	r, err := link.QueryPrograms(link.QueryOptions{Target: index, Attach: way})
	if errors.Is(err, unix.ENOENT) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("query programs of interface %d: %w", index, err)
	}
	return len(r.Programs), nil
}

// tcxPrograms is how many there are at the pod's interface.
func tcxPrograms(t *testing.T, p *lab.Pod) (n int) {
	t.Helper()
	check(t, p.Node.NS.Do(func() error {
		in, err := countTCX(p.HostLink, ebpf.AttachTCXIngress)
		if err != nil {
			return err
		}
		out, err := countTCX(p.HostLink, ebpf.AttachTCXEgress)
		n = in + out
		return err
	}))
	return n
}
