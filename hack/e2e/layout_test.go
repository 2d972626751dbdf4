package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/fovea-obs/fovea/agent/datapath"
	"github.com/fovea-obs/fovea/agent/dns"
	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/fate"
	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/agent/ingest"
	"github.com/fovea-obs/fovea/agent/mac"
	"github.com/fovea-obs/fovea/agent/policy"
	"github.com/fovea-obs/fovea/agent/service"
	"github.com/fovea-obs/fovea/bpf"
	"github.com/fovea-obs/fovea/hack/lab"
	"github.com/fovea-obs/fovea/hack/lab/capture"
)

// layouts are what network plugins make of a node, each with the name that it
// gives to the host ends of pods.
var layouts = []struct {
	name, prefix string
	lab.Layout
	fromHost bool
}{
	{"CNI plugin ptp", "veth", lab.Layout{}, false},
	{"GKE", "gke", lab.Layout{Range: true}, false},
	{"Flannel, kindnet, CNI plugin bridge", "veth", lab.Layout{Gateways: lab.AtBridge, Via: "cni0", Range: true}, false},
	{"Docker", "veth", lab.Layout{Gateways: lab.AtBridge, Via: "docker0", Range: true}, true},
	{"Azure, bridge", "azv", lab.Layout{Gateways: lab.AtBridge, Via: "azure0", Range: true}, true},
	{"Azure, transparent", "azv", lab.Layout{Gateways: lab.AtNeighbour}, true},
	{"AWS", "eni", lab.Layout{Gateways: lab.AtNeighbour, Table: 2}, true},
	{"Calico", "cali", lab.Layout{Gateways: lab.AtNobody}, true},
	{"Cilium", "lxc", lab.Layout{Gateways: lab.AtRouter, Via: "cilium_host"}, true},
	{"CNI plugin host-device with a veth", "enp0s", lab.Layout{}, true},
}

// TestLayouts has pods talk that are connected as various network plugins do it,
// on a node that has what else is found there. Nobody says which interface leads
// to which pod: that is found by the addresses at the far ends.
func TestLayouts(t *testing.T) {
	for _, l := range layouts {
		t.Run(l.name, func(t *testing.T) {
			n := newNetwork(t)
			addOthers(t, n.near)
			before := n.addPod(t, n.near, lab.PodSpec{
				Name: "before", Interface: l.prefix + "b123456789", Layout: l.Layout, FromHost: l.fromHost,
			})
			far := n.addPod(t, n.far, lab.PodSpec{Name: "far"})
			o := observe(t, n)
			o.local(before)
			o.elsewhere(far)
			later := n.addPod(t, n.near, lab.PodSpec{
				Name: "later", Interface: l.prefix + "1a2b3c4d5e", Layout: l.Layout, FromHost: l.fromHost,
			})
			o.local(later)
			for _, p := range []*lab.Pod{before, later} {
				o.awaitNamed(t, p)
			}
			ctx := testContext(t)
			for i := range addrs(before) {
				for _, pair := range [][2]*lab.Pod{{before, later}, {later, before}, {before, far}, {far, later}} {
					_, err := lab.Ping{Target: addrs(pair[1])[i], ID: 7}.Run(ctx, pair[0].NS)
					check(t, err)
					for _, end := range pair {
						if end.Node == n.near {
							o.awaitFlow(ctx, t, end, pair[0], pair[1], addrs(before)[i].Is6())
						}
					}
				}
			}
			o.wantOnly(t, before, later)
		})
	}
}

// TestFloodedFrames has a bridge send a frame to all pods, as it does with one for an
// address of which it does not know yet where it is: none but who has the address is
// told to get it.
func TestFloodedFrames(t *testing.T) {
	n := newNetwork(t)
	bridged := func(name string) *lab.Pod {
		return n.addPod(t, n.near, lab.PodSpec{
			Name: name, Interface: "veth-" + name, Layout: lab.Layout{Gateways: lab.AtBridge, Via: "cni0", Range: true},
		})
	}
	client, web, other := bridged("client"), bridged("web"), bridged("other")
	o := observe(t, n)
	for _, p := range []*lab.Pod{client, web, other} {
		o.local(p)
		o.awaitNamed(t, p)
	}
	frame, err := synFrame(client.IPv4, web.IPv4, 1234)
	check(t, err)
	check(t, sendFrames(client, func(_ *net.Interface, socket int) error {
		_, err := unix.Write(socket, frame)
		return err
	}))
	ctx := testContext(t)
	for _, p := range []*lab.Pod{web, other} {
		want := flowName(uint32(p.HostLink), false, podName(client), podName(web))
		o.await(ctx, t, want, func() bool { return o.flows[want] })
	}
	wrong := flowName(uint32(other.HostLink), false, podName(client), podName(other))
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.flows[wrong] {
		t.Errorf("told: %s", wrong)
	}
}

// addOthers gives a node interfaces that lead to no endpoint: a pair with both
// ends there, a dummy, a tunnel, and a bridge with one of these.
func addOthers(t *testing.T, n *lab.Node) {
	t.Helper()
	h, err := n.NS.Netlink()
	check(t, err)
	defer h.Close()
	attrs := func(name string) netlink.LinkAttrs { return netlink.LinkAttrs{Name: name} }
	bridge := &netlink.Bridge{LinkAttrs: attrs("virbr0")}
	for _, l := range []netlink.Link{
		bridge,
		&netlink.Veth{LinkAttrs: attrs("veth0a"), PeerName: "veth0b"},
		&netlink.Dummy{LinkAttrs: attrs("kube-ipvs0")},
		&netlink.Vxlan{LinkAttrs: attrs("flannel.1"), VxlanId: 1, Port: 8472},
	} {
		err := h.LinkAdd(l)
		if errors.Is(err, unix.EOPNOTSUPP) {
			t.Logf("the kernel has no %s", l.Type())
			continue
		}
		check(t, err)
		check(t, h.LinkSetUp(l))
	}
	for _, name := range []string{"veth0a", "veth0b"} {
		l, err := h.LinkByName(name)
		check(t, err)
		check(t, h.LinkSetUp(l))
		if name == "veth0b" {
			check(t, h.LinkSetMaster(l, bridge))
		}
	}
}

// observed is what a node's datapath, with all that names its flows, tells.
type observed struct {
	*ingest.Ingest
	changed chan struct{} // has one if there is something new
	mu      sync.Mutex
	flows   map[string]bool
	links   map[string]uint32
}

// observe follows the node near until the test ends.
func observe(t *testing.T, n *network) *observed {
	t.Helper()
	h, err := history.New(history.MinSize)
	check(t, err)
	o := &observed{
		Ingest:  &ingest.Ingest{History: h, Endpoints: endpoint.NewTable("default"), Names: dns.NewTable(), Fates: fate.NewTable(), MACs: mac.NewTable()},
		changed: make(chan struct{}, 1), flows: map[string]bool{}, links: map[string]uint32{},
	}
	o.Services = service.NewTable("default", o.Endpoints)
	o.Policies = policy.NewTable(o.Endpoints)
	d, err := datapath.Open(datapath.Config{
		NetNS: n.near.NS.Path(), Attach: datapath.AttachAuto, Interval: time.Second, Connections: 1024, RingSize: 1 << 20,
		Interfaces: o, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	check(t, err)
	closeLater(t, d.Close)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx, o) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-d.Ready():
	case <-testContext(t).Done():
		t.Fatal("the datapath is not ready")
	}
	return o
}

// local and elsewhere say who a pod is, as a source does that does not know of
// interfaces.
func (o *observed) local(p *lab.Pod)     { o.set(p, true) }
func (o *observed) elsewhere(p *lab.Pod) { o.set(p, false) }

func (o *observed) set(p *lab.Pod, local bool) {
	o.Endpoints.Set(podName(p), endpoint.Binding{
		Endpoint:  endpoint.ForPod("default", p.Namespace, p.Name, nil, nil),
		Addresses: addrs(p), Local: local,
	}, 0)
}

func (o *observed) LinkUp(index uint32, name string) {
	o.Endpoints.LinkUp(index, name)
	o.tell(func() { o.links[name] = index })
}

func (o *observed) LinkDown(index uint32) { o.Endpoints.LinkDown(index) }

func (o *observed) SetFarMAC(index uint32, mac [6]byte) { o.Endpoints.SetFarMAC(index, mac) }

func (o *observed) SetFarAddresses(index uint32, addrs []netip.Addr, at int64) {
	o.Endpoints.SetFarAddresses(index, addrs, at)
	o.tell(func() {})
}

func (o *observed) SetHostAddresses(addrs []netip.Addr) { o.Endpoints.SetHostAddresses(addrs) }

// Event keeps who is told to have sent a packet to whom, and where it passed.
func (o *observed) Event(e *bpf.FoveaEvent, at int64) {
	o.Ingest.Event(e, at)
	n := o.History.Next() - 1
	s, err := o.History.Segment(n)
	if err != nil {
		return // nothing was told of it
	}
	defer s.Release()
	var r history.Record
	s.Record(int(n-s.First), &r)
	if r.Protocol != capture.ICMP && r.Protocol != capture.ICMPv6 && r.Protocol != capture.TCP {
		return
	}
	name := func(number uint32) string { return o.Endpoints.At(endpoint.Number(number)).String() }
	o.tell(func() {
		o.flows[flowName(r.Interface, r.Has(history.FlagIPv6), name(r.Source), name(r.Destination))] = true
	})
}

func flowName(index uint32, ipv6 bool, from, to string) string {
	return fmt.Sprintf("%d: %s > %s, IPv6 %v", index, from, to, ipv6)
}

func (o *observed) tell(change func()) {
	o.mu.Lock()
	change()
	o.mu.Unlock()
	select {
	case o.changed <- struct{}{}:
	default:
	}
}

// await waits until something is so.
func (o *observed) await(ctx context.Context, t *testing.T, what string, is func() bool) {
	t.Helper()
	for {
		o.mu.Lock()
		done := is()
		o.mu.Unlock()
		if done {
			return
		}
		select {
		case <-o.changed:
		case <-ctx.Done():
			o.mu.Lock()
			defer o.mu.Unlock()
			t.Fatalf("not told: %s; but %v", what, o.flows)
		}
	}
}

// awaitNamed waits until a pod is found behind its interface.
func (o *observed) awaitNamed(t *testing.T, p *lab.Pod) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	o.await(ctx, t, podName(p)+" behind "+p.Interface, func() bool {
		return o.Endpoints.At(o.Endpoints.Local(uint32(p.HostLink))).String() == podName(p)
	})
}

// awaitFlow waits until a ping and its answer were told at the interface of a pod.
func (o *observed) awaitFlow(ctx context.Context, t *testing.T, at, from, to *lab.Pod, ipv6 bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for _, ends := range [][2]*lab.Pod{{from, to}, {to, from}} {
		want := flowName(uint32(at.HostLink), ipv6, podName(ends[0]), podName(ends[1]))
		o.await(ctx, t, want, func() bool { return o.flows[want] })
	}
}

// wantOnly checks that no interface was taken for an endpoint's but the pods'.
func (o *observed) wantOnly(t *testing.T, pods ...*lab.Pod) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	var names []string
	for name := range o.links {
		if !slices.ContainsFunc(pods, func(p *lab.Pod) bool { return p.Interface == name }) {
			names = append(names, name)
		}
	}
	if len(names) > 0 {
		t.Errorf("taken for endpoints: %s", strings.Join(names, ", "))
	}
}
