package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	"github.com/google/go-cmp/cmp"

	"github.com/fovea-obs/fovea/hack/lab"
)

// TestTruth compares what an agent tells of all kinds of traffic with what was
// captured at the same interfaces, to the last packet and byte, and with who
// talked to whom.
func TestTruth(t *testing.T) {
	t.Run("defaults, with the race detector", func(t *testing.T) {
		needRoot(t)
		program := filepath.Join(t.TempDir(), "fovea")
		check(t, buildProgram(t.Context(), program, "-race"))
		testTruth(t, program)
	})
	t.Run("clsact, an interval of 1s", func(t *testing.T) {
		testTruth(t, os.Getenv(programVariable), "--attach", "clsact", "--aggregation-interval", "1s")
	})
	t.Run("pods that came later", func(t *testing.T) {
		testTruthOfNewPods(t, "--aggregation-interval", "1s")
	})
	t.Run("each packet", func(t *testing.T) {
		testTruth(t, os.Getenv(programVariable), "--aggregation", "none")
	})
}

func testTruth(t *testing.T, program string, args ...string) {
	s := newShop(t)
	w := watchPods(t, s.near, false)
	since := time.Now()
	c := s.agentConfig(t, s.near, args...)
	c.Program = program
	a := startAgent(t, c)
	j := s.newJudge(t, s.near)
	// The pods are older than the agent: it cannot know who began.
	j.guesses = datagramGuesses
	s.compareEverything(t, w, follow(t, a, since, j.flow))
}

// testTruthOfNewPods has the pods come after the agent: it knows all that they
// do, with no help of the kernel's connection tracking.
func testTruthOfNewPods(t *testing.T, args ...string) {
	s := newEmptyShop(t)
	w := watchPods(t, s.near, true)
	c := s.agentConfig(t, s.near, args...)
	a := startAgent(t, c)
	s.addPods(t)
	replaceFile(t, filepath.Join(c.Dir, s.near.Name+".yaml"), s.endpoints(s.near))
	ctx := testContext(t)
	check(t, c.Log.(*log).await(ctx, "Endpoints file applied", 2))
	for _, p := range s.near.Pods() {
		_, err := awaitAttached(ctx, s.near.NS, p.HostLink)
		check(t, err)
	}
	// What was before was told without the names.
	s.compareEverything(t, w, follow(t, a, time.Now(), s.newJudge(t, s.near).flow))
}

// compareEverything makes all kinds of traffic and compares what was told.
func (s *shop) compareEverything(t *testing.T, w *watch, f *follower) {
	t.Helper()
	w.begin(t)
	s.everything(t)
	got := w.compare(t, f)
	s.judgeDrops(t, f.dropped())
	t.Logf("%d flows of %d keys, %d drops", f.flows, len(got), len(f.dropped()))
}

// shop is a network with a client and a web server on the near node and a
// database on the far one, both also behind services.
type shop struct {
	*network
	client, web, db *lab.Pod
	outside         netip.Addr
	// Services of the web server and the database.
	web4, web6, db4, dns4 netip.AddrPort
}

func newShop(t *testing.T) *shop {
	t.Helper()
	s := newShopWithoutServices(t)
	s.addServices(t)
	return s
}

// newShopWithoutServices returns a shop whose nodes track no connections.
func newShopWithoutServices(t *testing.T) *shop {
	t.Helper()
	s := newEmptyShop(t)
	s.addPods(t)
	return s
}

// newEmptyShop returns a shop that has no pods yet.
func newEmptyShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{
		network: newNetwork(t),
		outside: netip.MustParseAddr("203.0.113.7"),
		web4:    netip.MustParseAddrPort("10.96.0.50:80"), web6: netip.MustParseAddrPort("[fd96::50]:80"),
		db4: netip.MustParseAddrPort("10.96.0.60:5432"), dns4: netip.MustParseAddrPort("10.96.0.10:53"),
	}
	check(t, s.lab.AddOutside(s.outside))
	return s
}

func (s *shop) addPods(t *testing.T) {
	t.Helper()
	s.client = s.addPod(t, s.near, lab.PodSpec{Name: "client"})
	s.web = s.addPod(t, s.near, lab.PodSpec{Name: "web-5d8f-abcde", FromHost: true})
	s.db = s.addPod(t, s.far, lab.PodSpec{Name: "db-0"})
}

func (s *shop) addServices(t *testing.T) {
	t.Helper()
	for _, v := range []struct {
		name string
		vip  netip.AddrPort
		to   netip.AddrPort
	}{
		{"web", s.web4, netip.AddrPortFrom(s.web.IPv4, 80)},
		{"web6", s.web6, netip.AddrPortFrom(s.web.IPv6, 80)},
		{"db", s.db4, netip.AddrPortFrom(s.db.IPv4, 5432)},
	} {
		s.addService(t, lab.Service{Name: v.name, VIP: v.vip, Backends: []netip.AddrPort{v.to}})
	}
	s.addService(t, lab.Service{
		Name: "dns", VIP: s.dns4, Protocol: lab.UDP, Backends: []netip.AddrPort{netip.AddrPortFrom(s.db.IPv4, 53)},
	})
}

// judgeDrops checks that nothing is told as dropped but what a pod of the near
// node was not listening for.
func (s *shop) judgeDrops(t *testing.T, drops []*flowpb.Flow) {
	t.Helper()
	var got []string
	for _, d := range drops {
		got = append(got, fmt.Sprintf("%s > %s: %v %s, reply %v, at %s", who(d.GetSource()), who(d.GetDestination()),
			d.GetTrafficDirection(), d.GetSummary(), d.GetIsReply().GetValue(), d.GetInterface().GetName()))
	}
	slices.Sort(got)
	var want []string
	for _, what := range []string{
		"TCP Flags: SYN; NO_SOCKET at tcp_v4_rcv", "TCP Flags: SYN; NO_SOCKET at tcp_v6_rcv",
		"UDP; NO_SOCKET at __udp4_lib_rcv", "UDP; NO_SOCKET at __udp6_lib_rcv",
	} {
		want = append(want, fmt.Sprintf("shop/client > %s: INGRESS %s, reply false, at %s", podName(s.web), what, s.web.Interface))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("drops (-want +got):\n%s", diff)
	}
}
