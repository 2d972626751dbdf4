package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"

	"github.com/fovea-obs/fovea/hack/lab"
)

const (
	// firstPacketAfter is when a pod sends its first packet, after its interface
	// appeared in the node.
	firstPacketAfter = 20 * time.Millisecond
	// newPods is how many are started, in each way to make an interface.
	newPods = 20
)

// TestFirstPacket starts pods, and looks for their first SYN.
func TestFirstPacket(t *testing.T) {
	for _, fromHost := range []bool{false, true} {
		t.Run(fmt.Sprintf("made in the node: %v", fromHost), func(t *testing.T) { testFirstPacket(t, fromHost) })
	}
}

func testFirstPacket(t *testing.T, fromHost bool) {
	n := newNetwork(t)
	c := n.agentConfig(t, n.near, "--log-level", "debug")
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
	w := watchPods(t, n.near, true)
	t.Cleanup(func() {
		r, err := w.outer.Stop()
		check(t, err)
		for k, c := range captured(r) {
			if k.proto==6 {
			t.Logf("%v %+v", k, c)
			}
		}
	})
	for i, p := range pods {
		slowest = max(slowest, p.firstPacket(t, f, seen, fromHost, fmt.Sprintf("shop/new-%d", i)))
	}
	t.Logf("%d pods: SYN sent at most %v after the interface appeared", newPods, slowest)
}

// firstPacket starts the pod and has it send its first SYN in time. It fails the
// test if that is not told as a flow of the pod.
func (p *quickPod) firstPacket(t *testing.T, f *follower, seen <-chan appearance, fromHost bool, name string) time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	p.start(t, fromHost)
	up, err := awaitAppearance(ctx, seen, p.iface)
	check(t, err)
	if up.index != p.index {
		t.Fatalf("interface %d appeared, want %d", up.index, p.index)
	}
	started := time.Since(up.at)
	sleepUntil(up.at.Add(firstPacketAfter))
	sent := time.Since(up.at)
	check(t, p.sendSYN(40000))
	t.Logf("up after %v, SYN after %v", started, sent)
	_, err = f.await(ctx, "the first SYN of "+name, func(flow *flowpb.Flow) bool {
		return flow.GetTraceObservationPoint() == flowpb.TraceObservationPoint_FROM_ENDPOINT &&
			flow.GetInterface().GetIndex() == uint32(p.index) && who(flow.GetSource()) == name &&
			flow.GetIP().GetSource() == p.addr.String() && flow.GetL4().GetTCP().GetFlags().GetSYN()
	})
	if err != nil {
		for _, fl := range f.kept {
			if fl.GetInterface().GetIndex() == uint32(p.index) || strings.Contains(fl.GetSummary(),"SYN") {
				t.Log(fl)
			}
		}
	}
	check(t, err)
	return sent
}

var _ = lab.TCP
