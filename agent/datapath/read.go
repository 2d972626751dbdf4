package datapath

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

const (
	// sweepInterval is how often connections that fell silent are looked for.
	sweepInterval = time.Second
	// lossInterval is how often the kernel's counters are read.
	lossInterval = time.Second
)

// readEvents hands over what is in the ring until ctx is done, and once more
// then.
func (d *Datapath) readEvents(ctx context.Context, h Handler) error {
	var due time.Time
	var clock clock
	again := false
	take := func(sample []byte) {
		e := decode(sample)
		if e == nil {
			// The programs write nothing that does not decode.
			d.log.Error("Event not understood", "bytes", len(sample))
			return
		}
		h.Event(e, clock.wall(e.Time))
	}
	for {
		clock.set()
		n := d.ring.read(take)
		if now := time.Now(); now.After(due) {
			due = now.Add(lossInterval)
			err := d.losses.tell(now, func(cpu int, events uint64) {
				h.Lost(cpu, events, now.UnixNano())
				n++
			})
			if err != nil {
				return err
			}
			again = h.Flush(time.Now().UnixNano())
		}
		if n > 0 {
			again = h.Flush(time.Now().UnixNano())
			continue
		}
		if ctx.Err() != nil {
			return nil
		}
		rest := d.ring.wait
		if again {
			rest = d.ring.pause
		}
		if err := rest(); err != nil {
			return err
		}
		if again {
			again = h.Flush(time.Now().UnixNano())
		}
	}
}

// sweepEvery has the kernel report connections that fell silent.
func (d *Datapath) sweepEvery(ctx context.Context, every time.Duration) error {
	if len(d.iters) == 0 {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := d.sweepOnce(); err != nil {
			return err
		}
	}
}

func (d *Datapath) sweepOnce() error {
	for _, iter := range d.iters {
		if err := runIter(iter); err != nil {
			return fmt.Errorf("go over the connections: %w", err)
		}
	}
	return nil
}

// runIter runs an iterator's program over all elements. It writes nothing: to
// read is to run it.
func runIter(iter *link.Iter) error {
	r, err := iter.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(io.Discard, r)
	return err
}

// clock converts the kernel's time, CLOCK_MONOTONIC, to that of the day.
type clock struct{ offset int64 }

// set follows changes of the time of day.
func (c *clock) set() { c.offset = time.Now().UnixNano() - monotonic() }

// monotonic is the kernel's time in nanoseconds.
func monotonic() int64 {
	var ts unix.Timespec
	// The clock exists on every kernel.
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return ts.Nano()
}

func (c *clock) wall(monotonic uint64) int64 { return int64(monotonic) + c.offset }
