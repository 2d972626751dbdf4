package e2e

import (
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fovea-obs/fovea/agent/datapath"
	"github.com/fovea-obs/fovea/bpf"
	"github.com/fovea-obs/fovea/hack/lab"
	"github.com/fovea-obs/fovea/hack/lab/capture"
)

// translated is a live connection, by what its client and its server have: the
// kernel makes the one into the other.
type translated struct {
	name                               string
	proto                              uint8
	sentSrc, sentDst, wentSrc, wentDst netip.AddrPort
}

// TestTranslate asks about live connections in both ways that there are, by each
// tuple that their packets have somewhere: the answers are equal, and true.
func TestTranslate(t *testing.T) {
	n := newNetwork(t, lab.WithConntrack())
	live := n.translatedConnections(t)
	var ask []bpf.FoveaTranslation
	var want []bpf.FoveaTranslation
	var names []string
	for _, c := range live {
		for _, tuple := range []struct {
			name     string
			src, dst netip.AddrPort
			found    bool
		}{
			{"as its client sends", c.sentSrc, c.sentDst, true},
			{"as its server receives", c.wentSrc, c.wentDst, true},
			{"as its server answers", c.wentDst, c.wentSrc, true},
			{"as its client is answered", c.sentDst, c.sentSrc, true},
			{"from another port", nextPort(c.sentSrc), c.sentDst, false},
			{"to another port", c.sentSrc, nextPort(c.sentDst), false},
			{"with the ends of both", c.sentSrc, c.wentDst, c.sentSrc == c.wentSrc || c.sentDst == c.wentDst},
		} {
			q := bpf.FoveaTranslation{Src: endOf(tuple.src), Dst: endOf(tuple.dst), Protocol: c.proto}
			ask = append(ask, q)
			if tuple.found {
				q.Found = 1
				q.SentSrc, q.SentDst = endOf(c.sentSrc), endOf(c.sentDst)
				q.WentSrc, q.WentDst = endOf(c.wentSrc), endOf(c.wentDst)
			}
			want, names = append(want, q), append(names, c.name+", "+tuple.name)
		}
		q := bpf.FoveaTranslation{Src: endOf(c.sentSrc), Dst: endOf(c.sentDst), Protocol: capture.TCP + capture.UDP - c.proto}
		ask, want, names = append(ask, q), append(want, q), append(names, c.name+", of the other protocol")
	}
	q := bpf.FoveaTranslation{Src: endOf(live[0].sentSrc), Dst: endOf(live[0].sentDst), Protocol: 132}
	ask, want, names = append(ask, q), append(want, q), append(names, "a protocol that is not asked for")

	// A program looks into the namespace of who asks, netlink into its own, so
	// that each is known by where it finds something.
	program, netlink := openToAsk(t, ""), openToAsk(t, n.near.NS.Path())
	answers := map[string][]bpf.FoveaTranslation{"a program": slices.Clone(ask), "netlink": slices.Clone(ask)}
	check(t, n.near.NS.Do(func() error {
		program.Translate(answers["a program"])
		return nil
	}))
	netlink.Translate(answers["netlink"])
	for way, got := range answers {
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("by %s: %s\n%s", way, names[i], cmp.Diff(want[i], got[i]))
			}
		}
	}
	elsewhere := slices.Clone(ask)
	program.Translate(elsewhere)
	if slices.ContainsFunc(elsewhere, func(t bpf.FoveaTranslation) bool { return t.Found != 0 }) {
		t.Error("the program found something in another network namespace: is it one?")
	}
	t.Logf("%d questions about %d connections", len(ask), len(live))
}

// openToAsk opens a datapath that is asked only.
func openToAsk(t *testing.T, netns string) *datapath.Datapath {
	t.Helper()
	d, err := datapath.Open(datapath.Config{
		NetNS: netns, Attach: datapath.AttachAuto, Interval: time.Second, Connections: 1024, RingSize: 1 << 20,
		Exclude: []string{"*"}, Interfaces: make(farEnds), Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	check(t, err)
	closeLater(t, d.Close)
	if missing := d.Degraded(); !slices.Equal(missing, untold(t)) {
		t.Errorf("missing: %v", missing)
	}
	return d
}

// translatedConnections has a client talk to a server in all the ways that its
// node translates.
func (n *network) translatedConnections(t *testing.T) (all []translated) {
	t.Helper()
	client := n.addPod(t, n.near, lab.PodSpec{Name: "client"})
	plain := n.addPod(t, n.far, lab.PodSpec{Name: "plain"})
	hidden := n.addPod(t, n.far, lab.PodSpec{Name: "hidden"})
	const port, servicePort = 8080, 80
	r := n.newRendezvous()
	for _, ipv6 := range []bool{false, true} {
		vips := []netip.Addr{netip.MustParseAddr("10.96.0.1"), netip.MustParseAddr("10.96.0.2")}
		node := n.near.IPv4
		if ipv6 {
			vips = []netip.Addr{netip.MustParseAddr("fd96::1"), netip.MustParseAddr("fd96::2")}
			node = n.near.IPv6
		}
		// What goes to the hidden pod is sent on as the node's.
		from, to := client.Addr(ipv6), hidden.Addr(ipv6)
		_, err := n.near.AddSNAT(netip.PrefixFrom(from, from.BitLen()), netip.PrefixFrom(to, to.BitLen()), node)
		check(t, err)
		for i, server := range []*lab.Pod{plain, hidden} {
			for _, proto := range []lab.Protocol{lab.TCP, lab.UDP} {
				n.addService(t, lab.Service{
					Name: server.Name + map[bool]string{true: "6"}[ipv6] + map[lab.Protocol]string{lab.UDP: "-udp"}[proto],
					VIP:  netip.AddrPortFrom(vips[i], servicePort), Protocol: proto,
					Backends: []netip.AddrPort{netip.AddrPortFrom(server.Addr(ipv6), port)},
				})
			}
		}
		for _, proto := range []uint8{capture.TCP, capture.UDP} {
			for _, d := range []struct {
				name   string
				server *lab.Pod
				to     netip.AddrPort
			}{
				{"untranslated", plain, netip.AddrPortFrom(plain.Addr(ipv6), port)},
				{"destination", plain, netip.AddrPortFrom(vips[0], servicePort)},
				{"source", hidden, netip.AddrPortFrom(hidden.Addr(ipv6), port)},
				{"both", hidden, netip.AddrPortFrom(vips[1], servicePort)},
			} {
				c := r.begin(t, dial{proto: proto, from: client.NS, to: d.to, pod: d.server, podPort: port})
				all = append(all, translated{
					name: d.name + ", " + d.to.String(), proto: proto,
					sentSrc: addrPort(c.client.LocalAddr()), sentDst: d.to,
					wentSrc: addrPort(c.server.RemoteAddr()),
					wentDst: netip.AddrPortFrom(d.server.Addr(ipv6), port),
				})
			}
		}
	}
	return all
}

func addrPort(a net.Addr) netip.AddrPort {
	p := netip.MustParseAddrPort(a.String())
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}

func nextPort(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr(), a.Port()-1) }

func endOf(a netip.AddrPort) (e bpf.FoveaEnd) {
	b := a.Addr().As16()
	for i := range e.Addr.Words {
		e.Addr.Words[i] = binary.NativeEndian.Uint32(b[4*i:])
	}
	e.Port = a.Port()
	return e
}
