package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	"golang.org/x/sys/unix"
)

const (
	// latencyPods is how many interfaces are tried, in each way.
	latencyPods = 10
	// probeEvery is how often a packet is sent each way, lookEvery after how many
	// it is looked whether one was seen.
	probeEvery = 250 * time.Microsecond
	lookEvery  = 100
	// attachWithin is what most interfaces must not exceed. The kernel waits for
	// RCU between the two programs of an interface, with the lock held that the
	// second needs (include/net/tcx.h: tcx_entry_sync), so that what comes to a
	// pod may be unseen for as much longer: the rest of a grace period that had
	// begun, and one more.
	attachWithin = 10 * time.Millisecond
	gracePeriods = 2
	// attachAlways is what only one interface may exceed.
	attachAlways = 200 * time.Millisecond
	// membarrierGlobal is MEMBARRIER_CMD_GLOBAL of include/uapi/linux/membarrier.h.
	membarrierGlobal = 1
	// firstProbe is the port of the first packet; each further has the next.
	firstProbe = 10000
)

// TestAttachLatency measures how long after an interface appeared packets pass
// there unseen, each way: not at all, if all since it was up were seen.
func TestAttachLatency(t *testing.T) {
	for _, fromHost := range []bool{false, true} {
		t.Run(fmt.Sprintf("made in the node: %v", fromHost), func(t *testing.T) {
			n := newNetwork(t)
			since := time.Now()
			f := follow(t, startAgent(t, n.agentConfig(t, n.near)), since, nil)
			seen := appearances(t, n.near.NS)
			var from, to, grace []time.Duration
			for i := range latencyPods {
				p := newQuickPod(t, n.near, fmt.Sprintf("veth-new-%d", i), netip.AddrFrom4([4]byte{10, 1, 1, byte(100 + i)}))
				a, b := p.latency(t, f, seen, fromHost)
				from, to, grace = append(from, a), append(to, b), append(grace, awaitGracePeriod(t))
			}
			for _, times := range [][]time.Duration{from, to, grace} {
				slices.Sort(times)
			}
			t.Logf("unseen for: from the pod %v, to the pod %v; grace periods %v", from, to, grace)
			const middle = latencyPods / 2
			if from[middle] > attachWithin {
				t.Errorf("packets from the pod were unseen for %v at the median", from[middle])
			}
			if wait := gracePeriods * grace[middle]; to[middle] > attachWithin+wait {
				t.Errorf("packets to the pod were unseen for %v at the median, of which the kernel may wait %v", to[middle], wait)
			}
			// One may be late where all cores are busy.
			if late := from[len(from)-2]; late > firstPacketAfter {
				t.Errorf("packets from the pod were unseen for %v", late)
			}
			if late := to[len(to)-2]; late > attachAlways {
				t.Errorf("packets to the pod were unseen for %v", late)
			}
		})
	}
}

// awaitGracePeriod returns how long this kernel takes for what it waits for in
// an attach (kernel/sched/membarrier.c).
func awaitGracePeriod(t *testing.T) time.Duration {
	t.Helper()
	start := time.Now()
	if _, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, membarrierGlobal, 0, 0); errno != 0 {
		t.Fatalf("wait for a grace period: %v", errno)
	}
	return time.Since(start)
}

// latency starts the pod, sends packets both ways, and returns how long after
// the interface the first one seen came, 0 if it was the first one sent.
func (p *quickPod) latency(t *testing.T, f *follower, seen <-chan appearance, fromHost bool) (from, to time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	since := p.startAt(ctx, t, seen, fromHost)
	var node int
	check(t, p.node.NS.Do(func() error {
		link, err := net.InterfaceByName(p.iface)
		if err == nil {
			node, err = packetSocket(link.Index, false)
		}
		return err
	}))
	defer unix.Close(node)
	sent := map[uint16]time.Time{}
	first := func(point flowpb.TraceObservationPoint) *flowpb.Flow {
		return f.find(func(flow *flowpb.Flow) bool {
			return flow.GetTraceObservationPoint() == point && flow.GetIP().GetSource() == p.addr.String()
		})
	}
	after := func(flow *flowpb.Flow) time.Duration {
		port := uint16(flow.GetL4().GetTCP().GetSourcePort())
		if port == firstProbe {
			return 0
		}
		return sent[port].Sub(since)
	}
	for port := uint16(firstProbe); ctx.Err() == nil; port++ {
		sent[port] = time.Now()
		check(t, errors.Join(p.sendSYN(p.socket, port), p.sendSYN(node, port)))
		time.Sleep(probeEvery)
		if port%lookEvery != 0 {
			continue
		}
		from, to := first(flowpb.TraceObservationPoint_FROM_ENDPOINT), first(flowpb.TraceObservationPoint_TO_ENDPOINT)
		if from != nil && to != nil {
			return after(from), after(to)
		}
	}
	t.Fatal("no packet was seen")
	return 0, 0
}
