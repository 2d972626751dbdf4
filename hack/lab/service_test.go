package lab

import (
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/fovea-obs/fovea/hack/lab/capture"
)

func vip(ipv6 bool) netip.AddrPort {
	if ipv6 {
		return netip.MustParseAddrPort("[fd96::a]:80")
	}
	return netip.MustParseAddrPort("10.96.0.10:80")
}

func (v *testLab) backends(ipv6 bool) []netip.AddrPort {
	var all []netip.AddrPort
	for _, p := range v.servers {
		all = append(all, netip.AddrPortFrom(p.Addr(ipv6), 8080))
	}
	return all
}

func TestServiceTakesBackendsInTurn(t *testing.T) {
	v := newTestLab(t)
	for _, p := range v.servers {
		serveEcho(t, p.NS, ":8080")
	}
	forFamilies(t, func(t *testing.T, ipv6 bool) {
		_, err := v.near.AddService(Service{Name: t.Name()[len(t.Name())-4:], VIP: vip(ipv6), Backends: v.backends(ipv6)})
		check(t, err)
		near := startCapture(t, v.near.NS, v.client.Interface)
		far := startCapture(t, v.far.NS)
		n, err := TCPLoad{Target: vip(ipv6), Connections: 30, Bytes: 100}.Run(testContext(t), v.client.NS)
		check(t, err)
		if n != 30 {
			t.Errorf("%d connections, want 30", n)
		}
		atClient, atServers := stopCapture(t, near), stopCapture(t, far)
		toVIP := atClient.Sum(func(k capture.Key) bool { return k.Direction == capture.In && k.Dst == vip(ipv6).Addr() })
		if toVIP.SYNs != 30 {
			t.Errorf("client opened %d connections to the service, want 30", toVIP.SYNs)
		}
		for _, p := range v.servers {
			got := atServers.Sum(func(k capture.Key) bool {
				return k.Interface == p.HostLink && k.Direction == capture.Out && k.Dst == p.Addr(ipv6) && k.DstPort == 8080
			})
			if got.SYNs != 10 {
				t.Errorf("%s got %d connections, want 10", p.Name, got.SYNs)
			}
		}
	})
}

func TestServiceFromNodeAndRandom(t *testing.T) {
	v := newTestLab(t)
	for _, p := range v.servers {
		serveEcho(t, p.NS, ":8080")
	}
	forFamilies(t, func(t *testing.T, ipv6 bool) {
		rule, err := v.near.AddService(Service{Name: "web", VIP: vip(ipv6), Backends: v.backends(ipv6), Random: true})
		check(t, err)
		_, err = TCPLoad{Target: vip(ipv6), Connections: 10, Bytes: 100}.Run(testContext(t), v.near.NS)
		check(t, err)
		check(t, rule.Remove())
		check(t, rule.Remove())
	})
}

func TestServiceUDP(t *testing.T) {
	v := newTestLab(t)
	s, err := ServeUDPEcho(v.servers[0].NS, ":8080")
	check(t, err)
	closeLater(t, s.Close)
	_, err = v.near.AddService(Service{
		Name: "dns", VIP: vip(false), Protocol: UDP, Backends: v.backends(false)[:1],
	})
	check(t, err)
	_, err = UDPLoad{Target: vip(false), Count: 5, Bytes: 30}.Run(testContext(t), v.client.NS)
	check(t, err)
}

func TestServiceChecks(t *testing.T) {
	v := newTestLab(t)
	for name, s := range map[string]Service{
		"no address":    {Backends: v.backends(false)},
		"no backends":   {VIP: vip(false)},
		"wrong version": {VIP: vip(true), Backends: v.backends(false)},
	} {
		if _, err := v.near.AddService(s); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestConntrack(t *testing.T) {
	for _, on := range []bool{false, true} {
		var opts []NodeOption
		if on {
			opts = append(opts, WithConntrack())
		}
		v := newTestLab(t, opts...)
		s := serveEcho(t, v.servers[0].NS, ":8080")
		target := netip.AddrPortFrom(v.servers[0].IPv4, s.Port())
		_, err := TCPLoad{Target: target, Connections: 3}.Run(testContext(t), v.client.NS)
		check(t, err)
		h, err := v.near.NS.Netlink()
		check(t, err)
		flows, err := h.ConntrackTableList(netlink.ConntrackTable, unix.AF_INET)
		h.Close()
		check(t, err)
		if want := map[bool]int{true: 3}[on]; len(flows) != want {
			t.Errorf("conntrack %t: %d entries, want %d", on, len(flows), want)
		}
	}
}
