package e2e

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/fovea-obs/fovea/hack/lab"
	"github.com/fovea-obs/fovea/hack/process"
)

// onceTimeout is after how long a question and its answer are forgotten.
const onceTimeout = 10 * time.Second

// TestForgetsQuestions has a question answered over UDP, and a conversation: of the
// first nothing is kept for longer than it has to be, the other is still there.
func TestForgetsQuestions(t *testing.T) {
	ctx := testContext(t)
	s := newShopWithoutServices(t)
	a, err := process.Start(ctx, s.agentConfig(t, s.near))
	check(t, err)
	closeLater(t, a.Stop)
	held, err := process.Held(a.PID())
	check(t, err)
	conns, err := held.Map("conns4")
	check(t, err)
	closeLater(t, conns.Close)

	const port = 5353
	server, err := lab.ServeUDPEcho(s.web.NS, netip.AddrPortFrom(s.web.IPv4, port).String())
	check(t, err)
	closeLater(t, server.Close)
	for _, count := range []int{1, 2} {
		_, err := lab.UDPLoad{Target: netip.AddrPortFrom(s.web.IPv4, port), Count: count}.Run(ctx, s.client.NS)
		check(t, err)
	}
	asked := time.Now()
	// Both ends are here, and each has an entry for each way.
	if n := countEntries(t, conns); n != 8 {
		t.Fatalf("%d entries for a question and a conversation, want 8", n)
	}
	for countEntries(t, conns) > 4 {
		select {
		case <-ctx.Done():
			t.Fatalf("%d entries after %v, want 4", countEntries(t, conns), time.Since(asked))
		case <-time.After(100 * time.Millisecond): // nothing tells of it
		}
	}
	took := time.Since(asked)
	t.Logf("forgotten after %v", took)
	if n := countEntries(t, conns); n != 4 {
		t.Errorf("%d entries are left of the conversation, want 4", n)
	}
	if took < onceTimeout || took > 2*onceTimeout {
		t.Errorf("a question was forgotten after %v, want %v", took, onceTimeout)
	}
}

func countEntries(t *testing.T, m *ebpf.Map) (n int) {
	t.Helper()
	var key, value []byte
	entries := m.Iterate()
	for entries.Next(&key, &value) {
		n++
	}
	// What is removed meanwhile may end it.
	if err := entries.Err(); err != nil && !errors.Is(err, ebpf.ErrIterationAborted) {
		t.Fatal(err)
	}
	return n
}
