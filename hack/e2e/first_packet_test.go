package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
)

const (
	// firstPacketAfter is when a pod sends its first packet, after its interface
	// appeared in the node.
	firstPacketAfter = 20 * time.Millisecond
	// newPods is how many are started, in each way to make an interface, and
	// mayMiss of how many the SYN may be missed: where all cores are busy, the
	// agent may not get to run in time.
	newPods = 20
	mayMiss = 2
)

// TestFirstPacket starts pods, and looks for their first SYN.
func TestFirstPacket(t *testing.T) {
	for _, fromHost := range []bool{false, true} {
		t.Run(fmt.Sprintf("made in the node: %v", fromHost), func(t *testing.T) { testFirstPacket(t, fromHost) })
	}
}

func testFirstPacket(t *testing.T, fromHost bool) {
	n := newNetwork(t)
	c := n.agentConfig(t, n.near)
	var endpoints strings.Builder
	endpoints.WriteString("endpoints:\n")
	var pods []*quickPod
	for i := range newPods {
		p := newQuickPod(t, n.near, fmt.Sprintf("veth-new-%d", i), netip.AddrFrom4([4]byte{10, 1, 1, byte(100 + i)}))
		fmt.Fprintf(&endpoints, "  - {interface: %s, namespace: shop, pod: new-%d}\n", p.iface, i)
		pods = append(pods, p)
	}
	c.Endpoints = endpoints.String()
	since := time.Now()
	f := follow(t, startAgent(t, c), since, nil)
	seen := appearances(t, n.near.NS)
	var slowest time.Duration
	missed := 0
	for i, p := range pods {
		sent, err := p.firstPacket(t, f, seen, fromHost, fmt.Sprintf("shop/new-%d", i))
		if err != nil {
			missed++
			t.Logf("SYN sent %v after the interface appeared: %v", sent, err)
		}
		slowest = max(slowest, sent)
	}
	t.Logf("%d pods: SYN sent at most %v after the interface appeared, %d missed", newPods, slowest, missed)
	if missed > mayMiss {
		t.Errorf("%d of %d SYNs were missed", missed, newPods)
	}
}

// firstPacket starts the pod and has it send its first SYN in time. It returns
// when that was, and an error if it is not told as a flow of the pod.
func (p *quickPod) firstPacket(t *testing.T, f *follower, seen <-chan appearance, fromHost bool, name string,
) (time.Duration, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	since := p.startAt(ctx, t, seen, fromHost)
	sleepUntil(since.Add(firstPacketAfter))
	sent := time.Since(since)
	check(t, p.sendSYN(p.socket, 40000))
	_, err := f.await(ctx, "the first SYN of "+name, func(flow *flowpb.Flow) bool {
		return flow.GetTraceObservationPoint() == flowpb.TraceObservationPoint_FROM_ENDPOINT &&
			flow.GetInterface().GetIndex() == uint32(p.index) && who(flow.GetSource()) == name &&
			flow.GetIP().GetSource() == p.addr.String() && flow.GetL4().GetTCP().GetFlags().GetSYN()
	})
	return sent, err
}
