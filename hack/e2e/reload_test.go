package e2e

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"

	"github.com/fovea-obs/fovea/hack/lab"
	"github.com/fovea-obs/fovea/hack/lab/capture"
	"github.com/fovea-obs/fovea/hack/process"
)

// TestReload changes the endpoints file while the agent runs. What it says holds
// for flows from then on: those before keep their names.
func TestReload(t *testing.T) {
	s := newShopWithoutServices(t)
	s.serve(t)
	c := s.agentConfig(t, s.near)
	l := c.Log.(*log)
	since := time.Now()
	a := startAgent(t, c)
	f := follow(t, a, since, nil)
	file := filepath.Join(c.Dir, s.near.Name+".yaml")
	ctx := testContext(t)

	s.ask(ctx, t, f, "shop/client", "shop/web-5d8f-abcde", 1)
	// The local end is known by its interface, the other one by its address.
	next := strings.NewReplacer("pod: web-5d8f-abcde", "pod: web-6c7d-fghij", "pod: client", "pod: buyer").Replace(c.Endpoints)
	replaceFile(t, file, next)
	check(t, l.await(ctx, "Endpoints file applied", 2))
	s.ask(ctx, t, f, "shop/buyer", "shop/web-6c7d-fghij", 2)

	replaceFile(t, file, strings.Replace(next, "pod: buyer", "pot: seller", 1))
	check(t, l.await(ctx, "unknown field", 1))
	if !strings.Contains(l.String(), s.near.Name+".yaml:") {
		t.Error("the log does not name the mistake's line")
	}
	s.ask(ctx, t, f, "shop/buyer", "shop/web-6c7d-fghij", 3)

	for id, want := range map[uint32]string{1: "shop/client", 2: "shop/buyer", 3: "shop/buyer"} {
		if got := asked(ctx, t, a, id); got != want {
			t.Errorf("ask %d is now told as of %s, want %s", id, got, want)
		}
	}
}

// ask sends a datagram that is told apart by its port from the client to the web
// server, and waits until it was told at both ends, with these names.
func (s *shop) ask(ctx context.Context, t *testing.T, f *follower, client, web string, id uint16) {
	t.Helper()
	to := netip.AddrPortFrom(s.web.IPv4, 53)
	d := dial{proto: capture.UDP, from: s.client.NS, port: 50000 + id, to: to}
	c, err := d.connect(ctx)
	check(t, err)
	defer c.Close()
	_, err = c.Write([]byte("hello"))
	check(t, err)
	for _, at := range []*lab.Pod{s.client, s.web} {
		flow, err := f.await(ctx, "the datagram", func(f *flowpb.Flow) bool {
			return f.GetL4().GetUDP().GetSourcePort() == uint32(50000+id) && f.GetInterface().GetIndex() == uint32(at.HostLink)
		})
		check(t, err)
		if got, want := who(flow.GetSource())+" > "+who(flow.GetDestination()), client+" > "+web; got != want {
			t.Errorf("datagram %d at %s: told as %s, want %s", id, at.Interface, got, want)
		}
	}
}

// asked returns who sent a datagram, as the history has it now.
func asked(ctx context.Context, t *testing.T, a *process.Agent, id uint32) string {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := a.Client.GetFlows(ctx, &observerpb.GetFlowsRequest{Number: 1, Whitelist: []*flowpb.FlowFilter{{
		Protocol: []string{"udp"}, SourcePort: []string{strconv.Itoa(int(50000 + id))},
	}}})
	check(t, err)
	r, err := stream.Recv()
	check(t, err)
	return who(r.GetFlow().GetSource())
}

// replaceFile puts another file in its place at once.
func replaceFile(t *testing.T, name, content string) {
	t.Helper()
	check(t, os.WriteFile(name+".new", []byte(content), 0o600))
	check(t, os.Rename(name+".new", name))
}
