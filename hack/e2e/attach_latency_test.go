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
	// attachWithin is what most interfaces must not exceed. The kernel lets some
	// RCU grace periods pass between the two programs of an interface
	// (include/net/tcx.h: tcx_entry_sync), so what comes to a pod may be unseen
	// for longer, the more so the busier the machine is.
	attachWithin = 10 * time.Millisecond
	gracePeriod  = 200 * time.Millisecond
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
			var from, to []time.Duration
			for i := range latencyPods {
				p := newQuickPod(t, n.near, fmt.Sprintf("veth-new-%d", i), netip.AddrFrom4([4]byte{10, 1, 1, byte(100 + i)}))
				a, b := p.latency(t, f, seen, fromHost)
				from, to = append(from, a), append(to, b)
			}
			slices.Sort(from)
			slices.Sort(to)
			t.Logf("unseen for: from the pod %v, to the pod %v", from, to)
			for _, unseen := range [][]time.Duration{from, to} {
				if median := unseen[len(unseen)/2]; median > attachWithin {
					t.Errorf("packets were unseen for %v at the median", median)
				}
			}
			// One may be late where all cores are busy.
			if late := from[len(from)-2]; late > firstPacketAfter {
				t.Errorf("packets from the pod were unseen for %v", late)
			}
			if late := to[len(to)-2]; late > gracePeriod {
				t.Errorf("packets to the pod were unseen for %v", late)
			}
		})
	}
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
