package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// TestAttachesBeforeUp checks that an interface is watched from when it leads to
// a pod, not only from when it is set up: packets may follow that at once.
func TestAttachesBeforeUp(t *testing.T) {
	for _, fromHost := range []bool{false, true} {
		t.Run(fmt.Sprintf("made in the node: %v", fromHost), func(t *testing.T) {
			n := newNetwork(t)
			startAgent(t, n.agentConfig(t, n.near))
			seen := appearances(t, n.near.NS)
			p := newQuickPod(t, n.near, "veth-new", netip.MustParseAddr("10.1.1.100"))
			p.addPair(t, fromHost)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			up, err := p.awaitPair(ctx, seen, fromHost)
			check(t, err)
			at, err := awaitAttached(ctx, n.near.NS, p.index)
			check(t, err)
			t.Logf("attached %v after it appeared", at.Sub(up))
		})
	}
}
