package datapath

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/cilium/ebpf"

	"github.com/fovea-obs/fovea/bpf"
)

// logInterval is how often the log tells of what grew in the meantime.
const logInterval = time.Minute

// counters are what was not told as events, summed over all CPUs since the
// agent started.
type counters struct {
	// lost events found no room in the ring buffer.
	lost uint64
	// malformed packets had headers that contradict themselves.
	malformed uint64
	// untracked packets belong to connections that found no room in the table:
	// each was an event of its own.
	untracked uint64
}

// losses reads the kernel's counters and tells what is new in them.
type losses struct {
	counters *ebpf.Map
	log      *slog.Logger

	told   []uint64 // lost events, per CPU
	values []bpf.FoveaStats

	logged   counters
	loggedAt time.Time
}

// tell calls lost for each CPU that lost events since the last call. An event
// is lost at the latest when it is told.
func (l *losses) tell(now time.Time, lost func(cpu int, events uint64)) error {
	var sum counters
	if err := l.counters.Lookup(uint32(0), &l.values); err != nil {
		return fmt.Errorf("read the kernel's counters: %w", err)
	}
	if l.told == nil {
		l.told = make([]uint64, len(l.values))
	}
	for cpu, v := range l.values {
		if n := v.Lost - l.told[cpu]; n > 0 {
			lost(cpu, n)
			l.told[cpu] = v.Lost
		}
		sum.lost += v.Lost
		sum.malformed += v.Malformed
		sum.untracked += v.Untracked
	}
	l.warn(now, sum)
	return nil
}

// warn logs what has grown, at most once in a logInterval.
func (l *losses) warn(now time.Time, sum counters) {
	if sum == l.logged || now.Sub(l.loggedAt) < logInterval {
		return
	}
	if n := sum.lost - l.logged.lost; n > 0 {
		l.log.Warn("Events lost: the ring buffer was full (see --ring-size)", "events", n)
	}
	if n := sum.untracked - l.logged.untracked; n > 0 {
		l.log.Warn("Packets told one by one: too many connections to track (see --connections)", "packets", n)
	}
	if n := sum.malformed - l.logged.malformed; n > 0 {
		l.log.Info("Malformed packets", "packets", n)
	}
	l.logged, l.loggedAt = sum, now
}
