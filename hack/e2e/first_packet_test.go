package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"

	"github.com/fovea-obs/fovea/hack/lab"
	"github.com/fovea-obs/fovea/hack/lab/capture"
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
		t.Run(fmt.Sprintf("pair made in the node: %v", fromHost), func(t *testing.T) { testFirstPacket(t, fromHost) })
	}
}

func testFirstPacket(t *testing.T, fromHost bool) {
	n := newNetwork(t)
	server := n.addPod(t, n.near, lab.PodSpec{Name: "server"})
	n.podServes(server, capture.TCP, closedPort)
	specs := make([]lab.PodSpec, newPods)
	c := n.agentConfig(t, n.near)
	var endpoints strings.Builder
	endpoints.WriteString("endpoints:\n" + endpointLine(server, true))
	for i := range specs {
		specs[i] = newPodSpec(i, fromHost)
		endpoints.WriteString(newPodLine(&specs[i]))
	}
	c.Endpoints = endpoints.String()
	since := time.Now()
	f := follow(t, startAgent(t, c), since, nil)
	seen := appearances(t, n.near.NS)
	var slowest struct{ pod, attach time.Duration }
	for i := range specs {
		pod, attach := n.firstPacket(t, f, seen, server, specs[i])
		slowest.pod, slowest.attach = max(slowest.pod, pod), max(slowest.attach, attach)
	}
	t.Logf("of %d pods: SYN sent at most %v, programs seen attached at most %v after the interface appeared",
		newPods, slowest.pod, slowest.attach)
}

func newPodSpec(i int, fromHost bool) lab.PodSpec {
	return lab.PodSpec{
		Name: fmt.Sprintf("new-%d", i), Interface: fmt.Sprintf("veth-new-%d", i), FromHost: fromHost,
		IPv4: netip.AddrFrom4([4]byte{10, 1, 1, byte(100 + i)}), IPv6: netip.MustParseAddr(fmt.Sprintf("fd00:1::1%02d", i)),
	}
}

// newPodLine is the entry of a pod that is not there yet.
func newPodLine(spec *lab.PodSpec) string {
	return endpointLine(&lab.Pod{PodSpec: lab.PodSpec{
		Name: spec.Name, Namespace: "shop", Interface: spec.Interface, IPv4: spec.IPv4, IPv6: spec.IPv6,
		Labels: map[string]string{"app": "new"},
	}}, true)
}

// firstPacket starts a pod and has it send its first SYN in time. It fails the
// test if that is not told as a flow of the pod.
func (n *network) firstPacket(t *testing.T, f *follower, seen <-chan appearance, server *lab.Pod, spec lab.PodSpec,
) (sent, attached time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	result := make(chan appearance, 1)
	errs := make(chan error, 1)
	go func() {
		up := <-seen
		at, err := awaitAttached(ctx, n.near.NS, up.index)
		attached = at.Sub(up.at)
		errs <- err
		result <- up
	}()
	pod := n.addPod(t, n.near, spec)
	check(t, <-errs)
	up := <-result
	time.Sleep(time.Until(up.at.Add(firstPacketAfter)))
	sent = time.Since(up.at)
	_, err := pod.DialTCP(ctx, netip.AddrPortFrom(server.IPv4, closedPort))
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("dial: %v", err)
	}
	err = f.await(ctx, "the first SYN of "+pod.Name, func(flow *flowpb.Flow, k key) bool {
		return k.from && k.iface == pod.HostLink && who(flow.GetSource()) == podName(pod) &&
			who(flow.GetDestination()) == podName(server) && flow.GetL4().GetTCP().GetFlags().GetSYN()
	})
	check(t, err)
	return sent, attached
}
