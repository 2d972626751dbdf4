package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/fovea-obs/fovea/hack/lab"
)

// quickLink is the interface in a quickPod.
const quickLink = "quick0"

// quickPod is a pod that has no more than an interface, so that it can send
// packets within milliseconds: those of the lab take longer.
type quickPod struct {
	node  *lab.Node
	ns    *lab.Namespace
	iface string // in the node
	addr  netip.Addr
	// index is that of the interface in the node, socket one in the pod.
	index, socket int
}

func newQuickPod(t *testing.T, node *lab.Node, iface string, addr netip.Addr) *quickPod {
	t.Helper()
	ns, err := lab.NewNamespace()
	check(t, err)
	closeLater(t, ns.Close)
	return &quickPod{node: node, ns: ns, iface: iface, addr: addr}
}

// addPair makes the pod's pair, in the pod's namespace or in the node's.
func (p *quickPod) addPair(t *testing.T, fromHost bool) {
	t.Helper()
	pod, err := p.ns.Netlink()
	check(t, err)
	defer pod.Close()
	node, err := p.node.NS.Netlink()
	check(t, err)
	defer node.Close()
	if fromHost {
		check(t, p.addFromHost(node))
	} else {
		veth := &netlink.Veth{PeerName: p.iface, PeerNamespace: netlink.NsFd(p.node.NS.FD())}
		veth.Name = quickLink
		check(t, pod.LinkAdd(veth))
	}
	l, err := node.LinkByName(p.iface)
	check(t, err)
	p.index = l.Attrs().Index
}

// start makes the pair, sets both ends up and opens the socket.
func (p *quickPod) start(t *testing.T, fromHost bool) {
	t.Helper()
	p.addPair(t, fromHost)
	check(t, setUp(p.ns, quickLink))
	check(t, setUp(p.node.NS, p.iface))
	check(t, p.ns.Do(func() error {
		link, err := net.InterfaceByName(quickLink)
		if err == nil {
			p.socket, err = packetSocket(link.Index, true)
		}
		return err
	}))
	closeLater(t, func() error { return unix.Close(p.socket) })
}

func (p *quickPod) addFromHost(node *netlink.Handle) error {
	veth := &netlink.Veth{PeerName: quickLink}
	veth.Name = p.iface
	if err := node.LinkAdd(veth); err != nil {
		return err
	}
	peer, err := node.LinkByName(quickLink)
	if err != nil {
		return err
	}
	return node.LinkSetNsFd(peer, p.ns.FD())
}

func setUp(ns *lab.Namespace, name string) error {
	h, err := ns.Netlink()
	if err != nil {
		return err
	}
	defer h.Close()
	l, err := h.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find interface %s: %w", name, err)
	}
	return h.LinkSetUp(l)
}

// packetSocket makes a socket that sends frames by an interface, if bypass is
// set at once: past the kernel's queue, which loses what is sent while the
// interface is about to be activated, and past the hooks for what goes out.
func packetSocket(index int, bypass bool) (fd int, err error) {
	if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
		return 0, err
	}
	if bypass {
		err = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1)
	}
	if err = errors.Join(err, unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: index})); err != nil {
		return 0, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

// sendFrames gives a socket that sends frames by a pod's interface, past the hooks
// for what goes out.
func sendFrames(p *lab.Pod, send func(link *net.Interface, socket int) error) error {
	return p.NS.Do(func() error {
		link, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		socket, err := packetSocket(link.Index, true)
		if err != nil {
			return err
		}
		return errors.Join(send(link, socket), unix.Close(socket))
	})
}

// startAt starts the pod, and returns since when its interface leads to it.
func (p *quickPod) startAt(ctx context.Context, t *testing.T, seen <-chan appearance, fromHost bool) time.Time {
	t.Helper()
	p.start(t, fromHost)
	at, err := p.awaitPair(ctx, seen, fromHost)
	check(t, err)
	return at
}

// awaitPair waits until the node was told that the interface leads to the pod.
func (p *quickPod) awaitPair(ctx context.Context, seen <-chan appearance, fromHost bool) (time.Time, error) {
	a, err := awaitAppearance(ctx, seen, p.iface, false)
	if err == nil && fromHost {
		// Its other end has left the node.
		a, err = awaitAppearance(ctx, seen, quickLink, true)
	}
	return a.at, err
}

// sendSYN sends the frame of a SYN from the pod's address.
func (p *quickPod) sendSYN(socket int, port uint16) error {
	frame, err := synFrame(p.addr, netip.MustParseAddr("192.0.2.1"), port)
	if err != nil {
		return err
	}
	_, err = unix.Write(socket, frame)
	return err
}

func synFrame(src, dst netip.Addr, port uint16) ([]byte, error) {
	eth := &layers.Ethernet{
		SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2},
		EthernetType: layers.EthernetTypeIPv4,
	}
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: src.AsSlice(), DstIP: dst.AsSlice()}
	tcp := &layers.TCP{SrcPort: layers.TCPPort(port), DstPort: 80, SYN: true, Window: 1000}
	if err := tcp.SetNetworkLayerForChecksum(ip); err != nil {
		return nil, err
	}
	b := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, eth, ip, tcp)
	return b.Bytes(), err
}

// sleepUntil waits for a moment that a test is about.
func sleepUntil(at time.Time) { time.Sleep(time.Until(at)) }
