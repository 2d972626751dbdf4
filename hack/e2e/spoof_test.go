package e2e

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"

	"github.com/fovea-obs/fovea/hack/lab"
)

// TestSpoofed has a pod send with another's address: whose interface it is
// counts, not what the packet says.
func TestSpoofed(t *testing.T) {
	n := newNetwork(t)
	victim := n.addPod(t, n.near, lab.PodSpec{Name: "victim"})
	liar := newQuickPod(t, n.near, "veth-liar", netip.MustParseAddr("10.1.1.100"))
	liar.start(t, false)
	c := n.agentConfig(t, n.near)
	c.Endpoints = "endpoints:\n" + endpointLine(victim, true) +
		fmt.Sprintf("  - {interface: %s, addresses: [%s], namespace: shop, pod: liar}\n", liar.iface, liar.addr)
	since := time.Now()
	f := follow(t, startAgent(t, c), since, nil)
	liar.addr = victim.IPv4
	check(t, liar.sendSYN(liar.socket, 40000))
	flow, err := f.await(testContext(t), "the SYN", func(f *flowpb.Flow) bool { return f.GetL4().GetTCP() != nil })
	check(t, err)
	if got := who(flow.GetSource()); got != "shop/liar" {
		t.Errorf("a SYN from the liar's interface with the victim's address is told as of %s", got)
	}
}
