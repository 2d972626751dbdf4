package e2e

import (
	"context"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/fovea-obs/fovea/agent/datapath"
	"github.com/fovea-obs/fovea/bpf"
	"github.com/fovea-obs/fovea/hack/lab"
)

// far is what was told of the far end of an interface.
type far struct {
	index uint32
	addrs []netip.Addr
	at    int64
}

// farEnds takes what a datapath tells of interfaces, and events.
type farEnds chan far

func (farEnds) LinkUp(uint32, string)         {}
func (farEnds) LinkDown(uint32)               {}
func (farEnds) SetHostAddresses([]netip.Addr) {}
func (farEnds) SetFarMAC(uint32, [6]byte)     {}
func (f farEnds) SetFarAddresses(index uint32, addrs []netip.Addr, at int64) {
	f <- far{index, addrs, at}
}
func (farEnds) Event(*bpf.FoveaEvent, int64) {}
func (farEnds) Lost(int, uint64, int64)      {}
func (farEnds) Flush(int64) bool             { return false }

// TestFarAddresses checks that the addresses that a pod has in its own namespace
// are told: of a pod that was there before, that comes and gets them a moment
// later, and that goes.
func TestFarAddresses(t *testing.T) {
	n := newNetwork(t)
	before := n.addPod(t, n.near, lab.PodSpec{Name: "before"})
	told := make(farEnds, 64)
	d, err := datapath.Open(datapath.Config{
		NetNS: n.near.NS.Path(), Attach: datapath.AttachAuto, Aggregate: true, Interval: time.Second,
		Connections: 1024, RingSize: 1 << 20, Interfaces: told, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	check(t, err)
	closeLater(t, d.Close)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx, told) }()
	defer func() {
		cancel()
		check(t, <-done)
	}()

	if f := told.await(t, before.HostLink); f.at != 0 || !slices.Equal(f.addrs, []netip.Addr{before.IPv4, before.IPv6}) {
		t.Errorf("told %v since %d of a pod with %v and %v", f.addrs, f.at, before.IPv4, before.IPv6)
	}
	start := time.Now().UnixNano()
	later := n.addPod(t, n.near, lab.PodSpec{Name: "later"})
	f := told.await(t, later.HostLink)
	for len(f.addrs) < 2 {
		f = told.await(t, later.HostLink)
	}
	if f.at < start || !slices.Equal(f.addrs, []netip.Addr{later.IPv4, later.IPv6}) {
		t.Errorf("told %v since %d of a pod that came at %d with %v and %v", f.addrs, f.at, start, later.IPv4, later.IPv6)
	}
	check(t, later.Delete())
	if f := told.await(t, later.HostLink); len(f.addrs) > 0 || f.at <= start {
		t.Errorf("told %v since %d of a pod that is gone", f.addrs, f.at)
	}
}

// await returns what is told next of an interface.
func (f farEnds) await(t *testing.T, index int) far {
	t.Helper()
	deadline := time.After(5 * time.Second)
	for {
		select {
		case told := <-f:
			if told.index == uint32(index) {
				return told
			}
		case <-deadline:
			t.Fatal("nothing is told of the interface")
		}
	}
}
