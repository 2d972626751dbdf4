package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fovea-obs/fovea/agent/datapath"
	"github.com/fovea-obs/fovea/agent/dns"
	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/fate"
	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/agent/ingest"
	"github.com/fovea-obs/fovea/agent/mac"
	"github.com/fovea-obs/fovea/agent/policy"
	"github.com/fovea-obs/fovea/agent/service"
	"github.com/fovea-obs/fovea/bpf"
	benchbpf "github.com/fovea-obs/fovea/hack/bench/bpf"
)

const (
	eventRate = 1_000_000 // a second
	eventStep = time.Millisecond
	// eventSeconds is how long events come at that rate.
	eventSeconds = 5

	ingestBound = 300.0 // ns of CPU an event
)

// counted is an ingest that notes how many events it took, and what its thread
// has spent when.
type counted struct {
	ingest.Ingest
	events, lost uint64
}

func (c *counted) Event(e *bpf.FoveaEvent, at int64) {
	// The machine's own drops come by the same way.
	if e.Kind == uint8(bpf.FoveaEventKindEVENT_TRACE) {
		c.events++
	}
	c.Ingest.Event(e, at)
}

func (c *counted) Lost(cpu int, n uint64, at int64) {
	c.lost += n
	c.Ingest.Lost(cpu, n, at)
}

// load is what a run of events came to.
type load struct {
	sent, taken, lost uint64
	rate              float64 // a second
	cpu               time.Duration
	allocs            uint64
}

// benchIngest measures the agent's CPU time from the bytes in the ring buffer to
// a record that can be queried, names found among 100 endpoints.
func benchIngest(ctx context.Context, _ string) ([]result, error) {
	l, err := runEvents(ctx)
	if err != nil {
		return nil, err
	}
	perEvent := float64(l.cpu.Nanoseconds()) / float64(l.taken)
	return []result{
		bounded("ingest", "ns CPU/event", perEvent, ingestBound),
		{"ingest.allocs", float64(l.allocs) / float64(l.taken), "allocations/event", "none", 0, 0},
	}, nil
}

// benchRing counts what is lost at a million events a second.
func benchRing(ctx context.Context, _ string) ([]result, error) {
	l, err := runEvents(ctx)
	if err != nil {
		return nil, err
	}
	if l.taken+l.lost != l.sent {
		return nil, fmt.Errorf("%d events sent, %d taken and %d lost", l.sent, l.taken, l.lost)
	}
	return []result{
		{"ring.loss", float64(l.lost), "events", "events sent", float64(l.sent), float64(l.lost) / float64(l.sent)},
		{"ring.rate", l.rate, "events/s", "wanted", eventRate, l.rate / eventRate},
	}, nil
}

// runEvents has the program at an endpoint's interface report each packet, a
// million a second, and the agent's own reader take them into a history.
func runEvents(ctx context.Context) (_ load, err error) {
	var h benchbpf.BenchObjects
	if err := benchbpf.LoadBenchObjects(&h, nil); err != nil {
		return load{}, fmt.Errorf("load the harness: %w", err)
	}
	defer h.Close()
	d, p, err := openDatapath(false, bpf.FoveaProgFromEndpoint)
	if err != nil {
		return load{}, err
	}
	defer func() { err = errors.Join(err, p.Close(), d.Close()) }()
	if err := h.Target.Put(uint32(0), p); err != nil {
		return load{}, fmt.Errorf("choose the program: %w", err)
	}
	c, err := newCounted()
	if err != nil {
		return load{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var l load
	done := make(chan error, 1)
	go func() { done <- takeEvents(ctx, d, c, &l) }()
	<-d.Ready()

	l.sent, l.rate, err = sendEvents(ctx, &h)
	cancel()
	err = errors.Join(err, <-done)
	l.taken, l.lost = c.events, c.lost
	return l, err
}

// sendEvents runs the harness's target once for each event, a million a second,
// and returns how many it sent at what rate.
func sendEvents(ctx context.Context, h *benchbpf.BenchObjects) (sent uint64, rate float64, err error) {
	// A signal would end a run of the program early, and have it run again.
	defer holdSignals()()

	start := time.Now()
	const step = uint64(eventRate * eventStep / time.Second)
	for sent < eventRate*eventSeconds && ctx.Err() == nil {
		// What is behind is caught up with, as real bursts do.
		if due := uint64(time.Since(start)/eventStep) * step; sent >= due {
			pause := unix.NsecToTimespec(int64(eventStep / 4))
			_ = unix.Nanosleep(&pause, nil)
			continue
		}
		if _, _, err := h.Cold.Benchmark(ackPacket(), int(step), nil); err != nil {
			return sent, 0, fmt.Errorf("send packets: %w", err)
		}
		sent += step
	}
	return sent, float64(sent) / time.Since(start).Seconds(), nil
}

// holdSignals keeps the Go runtime's signals from the calling goroutine until
// the function that it returns is called.
func holdSignals() func() {
	runtime.LockOSThread()
	urgent := unix.Sigset_t{Val: [16]uint64{1 << (unix.SIGURG - 1)}}
	var old unix.Sigset_t
	// The arguments are valid: it cannot fail.
	_ = unix.PthreadSigmask(unix.SIG_BLOCK, &urgent, &old)
	return func() {
		_ = unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil)
		runtime.UnlockOSThread()
	}
}

// takeEvents reads until ctx ends, and notes what that took.
func takeEvents(ctx context.Context, d *datapath.Datapath, c *counted, l *load) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	spent := threadCPU()
	err := d.Run(ctx, c)
	l.cpu = threadCPU() - spent
	runtime.ReadMemStats(&after)
	l.allocs = after.Mallocs - before.Mallocs
	return err
}

func threadCPU() time.Duration {
	var ts unix.Timespec
	// The clock exists on every kernel.
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts)
	return time.Duration(ts.Nano())
}

// newCounted is an ingest with tables as of a busy node.
func newCounted() (*counted, error) {
	hist, err := history.New(128 << 20)
	if err != nil {
		return nil, err
	}
	endpoints := endpoint.NewTable("default")
	for i := range 100 {
		name := fmt.Sprintf("pod-%d", i)
		endpoints.Set(name, endpoint.Binding{
			Endpoint:  endpoint.ForPod("default", "shop", name, map[string]string{"app": name}, nil),
			Interface: "veth-" + name,
			Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 1, 0, byte(i)})},
		}, 0)
	}
	services := service.NewTable("default", endpoints)
	services.Replace(map[service.Frontend]service.Name{
		{Address: netip.MustParseAddr("10.96.0.50")}: {Namespace: "shop", Name: "web"},
	})
	return &counted{Ingest: ingest.Ingest{
		History: hist, Endpoints: endpoints, Services: services, Names: dns.NewTable(), Fates: fate.NewTable(), MACs: mac.NewTable(),
		Policies: policy.NewTable(endpoints),
	}}, nil
}
