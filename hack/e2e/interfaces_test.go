package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	"github.com/vishvananda/netlink"

	"github.com/fovea-obs/fovea/hack/lab"
	"github.com/fovea-obs/fovea/hack/lab/capture"
	"github.com/fovea-obs/fovea/hack/process"
)

// TestInterfaces says which interfaces to watch.
func TestInterfaces(t *testing.T) {
	for _, test := range []struct {
		patterns    string
		client, web bool
	}{
		{"veth-c*", true, false},
		{"!veth-c*", false, true},
		{"veth-*,!veth-c*", false, true},
		{"none", false, false},
		{"veth-[a-z]*,veth-?*", true, true},
	} {
		t.Run(test.patterns, func(t *testing.T) {
			s := newShopWithoutServices(t)
			startAgent(t, s.agentConfig(t, s.near, "--interfaces", test.patterns))
			for pod, want := range map[*lab.Pod]bool{s.client: test.client, s.web: test.web} {
				if n := tcxPrograms(t, pod); n != 0 && !want || n != 2 && want {
					t.Errorf("%d programs at %s, want some: %v", n, pod.Interface, want)
				}
			}
		})
	}
}

// TestInterfaceChurn has many interfaces come and go while the agent runs. Those
// that stay are watched.
func TestInterfaceChurn(t *testing.T) {
	const pairs, stays = 200, 20
	n := newNetwork(t)
	a := startAgent(t, n.agentConfig(t, n.near))
	ns, err := lab.NewNamespace()
	check(t, err)
	closeLater(t, ns.Close)
	h, err := ns.Netlink()
	check(t, err)
	defer h.Close()
	start := time.Now()
	for i := range pairs {
		veth := &netlink.Veth{PeerName: fmt.Sprintf("veth-%d", i), PeerNamespace: netlink.NsFd(n.near.NS.FD())}
		veth.Name = fmt.Sprintf("churn%d", i)
		check(t, h.LinkAdd(veth))
		if i%stays != 0 {
			check(t, h.LinkDel(veth))
		}
	}
	t.Logf("%d interfaces came and went in %v", pairs, time.Since(start).Round(time.Millisecond))
	n.wantWatched(t, a, func(name string) bool { return strings.HasPrefix(name, "veth-") }, pairs/stays)
}

// wantWatched waits until there are programs at the node's interfaces of these
// names, of which there must be so many.
func (n *network) wantWatched(t *testing.T, a *process.Agent, named func(string) bool, want int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	h, err := n.near.NS.Netlink()
	check(t, err)
	defer h.Close()
	links, err := h.LinkList()
	check(t, err)
	watched := 0
	for _, l := range links {
		if !named(l.Attrs().Name) {
			continue
		}
		if _, err := awaitAttached(ctx, n.near.NS, l.Attrs().Index); err != nil {
			t.Errorf("%s: %v", l.Attrs().Name, err)
		}
		watched++
	}
	if watched != want {
		t.Errorf("%d interfaces are there, want %d", watched, want)
	}
	select {
	case <-a.Done():
		t.Error("the agent ended")
	default:
	}
}

// TestInterfacesOverrun makes more changes than the kernel keeps for an agent
// that does not run, so that it does not hear of a new pod.
func TestInterfacesOverrun(t *testing.T) {
	const changes = 10_000
	n := newNetwork(t)
	server := n.addPod(t, n.near, lab.PodSpec{Name: "server"})
	n.podServes(server, capture.TCP, closedPort)
	since := time.Now()
	c := n.agentConfig(t, n.near)
	l := c.Log.(*log)
	c.Endpoints = "endpoints:\n  - {interface: veth-late, namespace: shop, pod: late}\n"
	a := startAgent(t, c)
	f := follow(t, a, since, nil)
	check(t, syscall.Kill(a.PID(), syscall.SIGSTOP))
	t.Cleanup(func() { _ = syscall.Kill(a.PID(), syscall.SIGCONT) }) // if it was not
	h, err := n.near.NS.Netlink()
	check(t, err)
	defer h.Close()
	link, err := h.LinkByName(server.Interface)
	check(t, err)
	for i := range changes {
		check(t, h.LinkSetAlias(link, fmt.Sprintf("change %d", i)))
	}
	pod := n.addPod(t, n.near, lab.PodSpec{Name: "late"})
	check(t, syscall.Kill(a.PID(), syscall.SIGCONT))
	n.wantWatched(t, a, func(name string) bool { return name == pod.Interface }, 1)
	if !strings.Contains(l.String(), "taking stock again") {
		t.Error("the changes fitted: nothing was lost")
	}
	ctx := testContext(t)
	if c, err := pod.DialTCP(ctx, netip.AddrPortFrom(server.IPv4, closedPort)); err == nil {
		t.Errorf("connected to a closed port: %v", c.Close())
	}
	_, err = f.await(ctx, "the late pod's flow", func(f *flowpb.Flow) bool { return who(f.GetSource()) == podName(pod) })
	check(t, err)
}
