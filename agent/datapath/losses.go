package datapath

import (
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/fovea-obs/fovea/bpf"
)

// Counters are what the kernel side could not tell as events, summed over all
// CPUs since the agent started.
type Counters struct {
	// Lost events found no room in the ring buffer.
	Lost uint64
	// Malformed packets had headers that contradict themselves.
	Malformed uint64
	// Untracked packets belong to connections that found no room in the table:
	// each was an event of its own.
	Untracked uint64
}

// losses reads the kernel's counters and tells what is new in them.
type losses struct {
	counters *ebpf.Map
	told     []uint64 // per CPU
	values   []bpf.FoveaStats
}

// tell calls lost for each CPU that lost events since the last call. An event
// is lost at the latest when it is told.
func (l *losses) tell(lost func(cpu int, events uint64)) (Counters, error) {
	var sum Counters
	if err := l.counters.Lookup(uint32(0), &l.values); err != nil {
		return sum, fmt.Errorf("read the kernel's counters: %w", err)
	}
	if l.told == nil {
		l.told = make([]uint64, len(l.values))
	}
	for cpu, v := range l.values {
		if n := v.Lost - l.told[cpu]; n > 0 {
			lost(cpu, n)
			l.told[cpu] = v.Lost
		}
		sum.Lost += v.Lost
		sum.Malformed += v.Malformed
		sum.Untracked += v.Untracked
	}
	return sum, nil
}
