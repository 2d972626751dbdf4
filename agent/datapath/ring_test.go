package datapath

import (
	"context"
	"encoding/binary"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/fovea-obs/fovea/bpf"
)

// send has the program at an endpoint's interface tell of n UDP packets, with
// the source ports from first on.
func send(t testing.TB, d *Datapath, first, n int) {
	t.Helper()
	b := make([]byte, 14+20+8)
	b[12] = 0x08
	ip := b[14:]
	ip[0], ip[8], ip[9] = 0x45, 64, 17
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	copy(ip[12:], []byte{10, 0, 0, 1, 10, 1, 0, 1})
	binary.BigEndian.PutUint16(ip[22:], 53)
	for i := range n {
		binary.BigEndian.PutUint16(ip[20:], uint16(first+i))
		if _, err := d.endpoint.in.Run(&ebpf.RunOptions{Data: b}); err != nil {
			t.Fatal(err)
		}
	}
}

// traces collects what is told of packets; the machine's own drops are left out.
type traces struct {
	ports   []int
	told    atomic.Int64 // len(ports), for other goroutines
	lost    uint64
	flushed chan struct{}
}

func (c *traces) Event(e *bpf.FoveaEvent, _ int64) {
	if bpf.FoveaEventKind(e.Kind) == bpf.FoveaEventKindEVENT_TRACE {
		c.ports = append(c.ports, int(e.Sport))
		c.told.Add(1)
	}
}

func (c *traces) Lost(_ int, events uint64, _ int64) { c.lost += events }

func (c *traces) Flush(int64) bool {
	if c.flushed != nil {
		c.flushed <- struct{}{}
	}
	return false
}

// TestRingOverItsEnd has records lie over the ring's end again and again.
func TestRingOverItsEnd(t *testing.T) {
	size := os.Getpagesize()
	d := open(t, size)
	perRound := size / (eventSize + ringHeader) / 2
	var c traces
	split := 0
	const rounds = 200
	for round := range rounds {
		send(t, d, round*perRound, perRound)
		for d.ring.read(func(sample []byte) {
			if e := decode(sample); e == nil {
				t.Fatalf("record of %d bytes does not decode", len(sample))
			} else {
				c.Event(e, 0)
			}
			if len(d.ring.split) > 0 && &sample[0] == &d.ring.split[0] {
				split++
			}
		}) > 0 {
		}
	}
	for i, port := range c.ports {
		if port != i {
			t.Fatalf("record %d is of port %d", i, port)
		}
	}
	if want := rounds * perRound; len(c.ports) != want {
		t.Errorf("%d records, want %d", len(c.ports), want)
	}
	if split == 0 {
		t.Error("no record lay over the end: the test tests nothing")
	}
}

// TestLossesAreTold fills the ring with nobody reading.
func TestLossesAreTold(t *testing.T) {
	size := os.Getpagesize()
	d := open(t, size)
	const sent = 500
	send(t, d, 0, sent)
	c := traces{flushed: make(chan struct{})}
	run(t, d, &c, func() {
		// The counters are read with the first batch.
		<-c.flushed
	})
	if int(c.lost) < sent-size/(eventSize+ringHeader) {
		t.Errorf("%d of %d events lost in a ring of %d bytes", c.lost, sent, size)
	}
	if got := int(c.lost) + len(c.ports); got < sent {
		t.Errorf("%d events told or lost, %d sent", got, sent)
	}
}

// TestReaderWakes sends an event while the reader sleeps, many times.
func TestReaderWakes(t *testing.T) {
	d := open(t, 1<<20)
	c := traces{flushed: make(chan struct{})}
	var slowest time.Duration
	run(t, d, &c, func() {
		for i := range 100 {
			for atomic.LoadUint32(d.ring.sleeps) == 0 {
				select {
				case <-c.flushed:
				default:
				}
			}
			sent := time.Now()
			send(t, d, i, 1)
			for c.told.Load() <= int64(i) {
				<-c.flushed
			}
			slowest = max(slowest, time.Since(sent))
		}
	})
	t.Logf("slowest: %v", slowest)
	if slowest >= ringTimeout {
		t.Errorf("an event was seen after %v: its wake-up was lost", slowest)
	}
}

// run runs d with a handler while fn does, which takes what h flushes.
func run(t *testing.T, d *Datapath, h *traces, fn func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx, h) }()
	fn()
	cancel()
	for {
		select {
		case <-h.flushed:
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			return
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(make([]byte, eventSize))
	f.Add(append([]byte{1}, make([]byte, eventSize)...))
	good := make([]byte, eventSize)
	good[eventSize-16] = byte(bpf.FoveaEventKindEVENT_DROP)
	f.Add(good)
	f.Fuzz(func(t *testing.T, sample []byte) {
		e := decode(sample)
		if e == nil {
			return
		}
		if len(sample) < eventSize {
			t.Fatalf("an event of %d bytes", len(sample))
		}
		switch bpf.FoveaEventKind(e.Kind) {
		case bpf.FoveaEventKindEVENT_TRACE, bpf.FoveaEventKindEVENT_DROP:
		default:
			t.Fatalf("an event of kind %d", e.Kind)
		}
	})
}
