package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	"github.com/google/go-cmp/cmp"

	"github.com/fovea-obs/fovea/hack/lab"
	"github.com/fovea-obs/fovea/hack/lab/capture"
)

// Ports of datagrams that are dropped, each in its own way.
const (
	forwardPort = 1001 + iota // by the receiver's node, when it forwards them
	inputPort                 // by the pod, when they come in
	outputPort                // by the pod that sends them
	freePort                  // by nobody, but nobody listens
)

// TestTwoAgents runs the agents of two nodes on one kernel: each tells of its
// own node's packets and drops, and of no others.
func TestTwoAgents(t *testing.T) {
	s := newShopWithoutServices(t)
	peer := s.addPod(t, s.far, lab.PodSpec{Name: "peer"})
	s.forbid(t)
	s.serve(t)
	for _, p := range []*lab.Pod{s.client, s.web, s.db, peer} {
		for port := uint16(forwardPort); port <= freePort; port++ {
			s.podServes(p, capture.UDP, port)
		}
		s.podServes(p, capture.UDP, 53)
		s.podServes(p, capture.TCP, 80)
	}
	echo, err := lab.ServeEcho(peer.NS, ":80")
	check(t, err)
	closeLater(t, echo.Close)

	nodes := []*lab.Node{s.near, s.far}
	var watches []*watch
	var followers []*follower
	for _, n := range nodes {
		w := watchPods(t, n, false)
		since := time.Now()
		a := startAgent(t, s.agentConfig(t, n, "--aggregation-interval", "1s"))
		j := s.newJudge(t, n)
		j.guesses = datagramGuesses
		watches = append(watches, w)
		followers = append(followers, follow(t, a, since, j.flow))
		w.begin(t)
	}
	ctx := testContext(t)
	for _, way := range []struct{ from, to *lab.Pod }{
		{s.client, s.web}, {s.client, s.db}, {s.db, s.client}, {s.db, peer},
	} {
		check(t, s.forbidden(ctx, way.from, way.to))
		_, err := lab.TCPLoad{Target: netip.AddrPortFrom(way.to.IPv6, 80), Bytes: 1000}.Run(ctx, way.from.NS)
		check(t, err)
	}
	for i, n := range nodes {
		watches[i].compare(t, followers[i])
		var got []string
		for _, d := range followers[i].dropped() {
			got = append(got, describeDrop(d))
		}
		slices.Sort(got)
		if diff := cmp.Diff(s.wantDrops(n, peer), got); diff != "" {
			t.Errorf("drops of %s (-want +got):\n%s", n.Name, diff)
		}
	}
}

// forbid makes each node and each pod drop datagrams for its ports.
func (s *shop) forbid(t *testing.T) {
	t.Helper()
	for _, n := range s.lab.Nodes() {
		_, err := n.AddDrop(lab.Drop{
			Destination: n.PodRange4, Protocol: lab.UDP, Port: forwardPort, Hook: lab.Forward,
		})
		check(t, err)
		for _, p := range n.Pods() {
			_, err := p.AddDrop(lab.Drop{Protocol: lab.UDP, Port: inputPort, Hook: lab.Input})
			check(t, err)
			_, err = p.AddDrop(lab.Drop{Protocol: lab.UDP, Port: outputPort, Hook: lab.Output})
			check(t, err)
		}
	}
}

// forbidden sends one datagram to each port.
func (s *shop) forbidden(ctx context.Context, from, to *lab.Pod) error {
	for port := uint16(forwardPort); port <= freePort; port++ {
		c, err := from.DialUDP(ctx, netip.AddrPortFrom(to.IPv4, port))
		if err != nil {
			return err
		}
		_, err = c.Write([]byte("hello"))
		if port == outputPort && err == nil {
			err = errors.New("a datagram that the pod drops was sent")
		} else if port == outputPort {
			err = nil
		}
		if err := errors.Join(err, c.Close()); err != nil {
			return fmt.Errorf("port %d: %w", port, err)
		}
	}
	return nil
}

// describeDrop says what matters of a drop.
func describeDrop(d *flowpb.Flow) string {
	return fmt.Sprintf("%s > %s:%d at %s: %v %s", who(d.GetSource()), who(d.GetDestination()),
		d.GetL4().GetUDP().GetDestinationPort(), d.GetInterface().GetName(), d.GetTrafficDirection(), d.GetSummary())
}

// wantDrops are what the node's agent is to tell.
func (s *shop) wantDrops(n *lab.Node, peer *lab.Pod) []string {
	var want []string
	for _, way := range []struct{ from, to *lab.Pod }{
		{s.client, s.web}, {s.client, s.db}, {s.db, s.client}, {s.db, peer},
	} {
		drop := func(port int, at *lab.Pod, direction, what string) {
			if at.Node == n {
				want = append(want, fmt.Sprintf("%s > %s:%d at %s: %s UDP; %s", podName(way.from), podName(way.to), port,
					at.Interface, direction, what))
			}
		}
		if way.from.Node == way.to.Node {
			drop(forwardPort, way.from, "EGRESS", "NETFILTER_DROP at nft_do_chain")
		} else if way.to.Node == n {
			// It came in by the uplink, which is no pod's interface, and was on its way to one.
			want = append(want, fmt.Sprintf("%s > %s:%d at eth0: INGRESS UDP; NETFILTER_DROP at nft_do_chain",
				podName(way.from), podName(way.to), forwardPort))
		}
		drop(inputPort, way.to, "INGRESS", "NETFILTER_DROP at nft_do_chain")
		drop(outputPort, way.from, "EGRESS", "NETFILTER_DROP at nft_do_chain")
		drop(freePort, way.to, "INGRESS", "NO_SOCKET at __udp4_lib_rcv")
	}
	slices.Sort(want)
	return want
}
