package e2e

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/fovea-obs/fovea/hack/lab"
	"github.com/fovea-obs/fovea/hack/lab/capture"
)

const (
	// lastCounts is how long after the traffic the last counts may be told, by
	// the flows' own times: the default interval, a sweep, and time for a busy
	// machine.
	lastCounts = 12 * time.Second
	// reading is how long those may take who read and judge all flows.
	reading = time.Minute
)

// watch captures the same interfaces twice: inner within the time in which the
// agent watches, and outer around it. What both saw the same of, the agent must
// have seen exactly. The kernel's own housekeeping may fall in between.
type watch struct {
	node   *lab.Node
	ifaces []string
	// only says what is to be compared; all, if it is nil.
	only         func(key) bool
	inner, outer *capture.Capture
}

// watchPods starts the outer capture, at the interfaces of the node's pods or
// all that there will be. The agent is to be started next.
func watchPods(t *testing.T, node *lab.Node, all bool) *watch {
	t.Helper()
	w := &watch{node: node}
	if !all {
		for _, p := range node.Pods() {
			w.ifaces = append(w.ifaces, p.Interface)
		}
	}
	w.outer = w.start(t)
	return w
}

func (w *watch) start(t *testing.T) *capture.Capture {
	t.Helper()
	c, err := capture.Config{Interfaces: w.ifaces, RingBytes: 32 << 20}.Start(w.node.NS)
	check(t, err)
	t.Cleanup(func() { c.Stop() }) // the error was seen where it mattered
	return c
}

// begin starts the inner capture. The agent is ready, and traffic is to follow.
func (w *watch) begin(t *testing.T) {
	t.Helper()
	w.inner = w.start(t)
}

// compare ends the captures, waits until the agent has told as much as they
// saw, and fails the test where that differs.
func (w *watch) compare(t *testing.T, f *follower) map[key]sum {
	t.Helper()
	r, err := w.inner.Stop()
	check(t, err)
	inner := w.ours(captured(r), r.Interfaces)
	ctx, cancel := context.WithTimeout(t.Context(), lastCounts+reading)
	defer cancel()
	start := time.Now()
	if missing, err := f.awaitSums(ctx, inner); err != nil {
		complain(t, differences(missing, missing, f.snapshotOf(missing)))
		t.Fatal(err)
	}
	late := f.newest().Sub(start)
	t.Logf("the last counts of %d keys were told %v after the traffic", len(inner), late.Round(time.Millisecond))
	if late > lastCounts {
		t.Errorf("the last counts were told %v after the traffic, want at most %v", late, lastCounts)
	}
	r, err = w.outer.Stop()
	check(t, err)
	got := f.snapshot()
	if w.only != nil {
		maps.DeleteFunc(got, func(k key, _ sum) bool { return !w.only(k) })
	}
	complain(t, differences(inner, w.ours(captured(r), r.Interfaces), got))
	f.report(t)
	return got
}

// complain fails the test for the first complaints.
func complain(t *testing.T, complaints []string) {
	t.Helper()
	for i, c := range complaints {
		if i == maxComplaints {
			t.Errorf("and %d more", len(complaints)-i)
			break
		}
		t.Error(c)
	}
}

// ours leaves out the node's interfaces that lead to no pod, or what is not to be
// compared.
func (w *watch) ours(sums map[key]sum, names map[int]string) map[key]sum {
	if w.only != nil {
		return reversed(sums, w.only)
	}
	for k := range sums {
		if name := names[k.iface]; name == "eth0" || name == "lo" {
			delete(sums, k)
		}
	}
	return sums
}

// reversed keeps those of a capture at an interface to the network, where what comes
// in is on its way to the endpoint, the node.
func reversed(sums map[key]sum, only func(key) bool) map[key]sum {
	out := map[key]sum{}
	for k, s := range sums {
		k.from = !k.from
		if only(k) {
			out[k] = s
		}
	}
	return out
}

// differences compares what was told with what was captured.
func differences(inner, outer, got map[key]sum) (complaints []string) {
	complain := func(k key, format string, args ...any) {
		complaints = append(complaints, k.String()+": "+fmt.Sprintf(format, args...))
	}
	for k, g := range got {
		in, out := inner[k], outer[k]
		switch {
		case out.packets == 0:
			complain(k, "told %+v, captured nothing", g)
		case in == out && g != in:
			complain(k, "told %+v, captured %+v", g, in)
		case in != out && !housekeeping(k):
			complain(k, "told %+v, captured %+v in the time and %+v around it", g, in, out)
		case g.packets < in.packets || g.packets > out.packets || g.bytes < in.bytes || g.bytes > out.bytes:
			complain(k, "told %+v, captured between %+v and %+v", g, in, out)
		}
	}
	for k, in := range inner {
		if _, ok := got[k]; !ok {
			complain(k, "told nothing, captured %+v", in)
		}
	}
	return complaints
}

// housekeeping tells what the kernel sends by itself at any time: multicast
// listener reports, neighbour and router discovery.
func housekeeping(k key) bool {
	return k.proto == capture.ICMPv6 && housekeepingType(uint32(k.a))
}

func housekeepingType(icmpv6 uint32) bool {
	return icmpv6 >= 130 && icmpv6 <= 136 || icmpv6 == 143
}
