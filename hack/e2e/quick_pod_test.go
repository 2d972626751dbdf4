package e2e

import (
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

// start makes the pod's pair, in the pod's namespace or in the node's, sets both
// ends up and opens the socket.
func (p *quickPod) start(t *testing.T, fromHost bool) {
	t.Helper()
	pod, err := p.ns.Netlink()
	check(t, err)
	defer pod.Close()
	node, err := p.node.NS.Netlink()
	check(t, err)
	defer node.Close()
	const inside = "quick0"
	if fromHost {
		check(t, p.addFromHost(node, inside))
	} else {
		veth := &netlink.Veth{PeerName: p.iface, PeerNamespace: netlink.NsFd(p.node.NS.FD())}
		veth.Name = inside
		check(t, pod.LinkAdd(veth))
	}
	_, err = setUp(pod, inside)
	check(t, err)
	p.index, err = setUp(node, p.iface)
	check(t, err)
	check(t, p.ns.Do(func() error {
		link, err := net.InterfaceByName(inside)
		if err == nil {
			p.socket, err = packetSocket(link.Index)
		}
		return err
	}))
	closeLater(t, func() error { return unix.Close(p.socket) })
}

func (p *quickPod) addFromHost(node *netlink.Handle, inside string) error {
	veth := &netlink.Veth{PeerName: inside}
	veth.Name = p.iface
	if err := node.LinkAdd(veth); err != nil {
		return err
	}
	peer, err := node.LinkByName(inside)
	if err != nil {
		return err
	}
	return node.LinkSetNsFd(peer, p.ns.FD())
}

func setUp(h *netlink.Handle, name string) (int, error) {
	l, err := h.LinkByName(name)
	if err != nil {
		return 0, fmt.Errorf("find interface %s: %w", name, err)
	}
	return l.Attrs().Index, h.LinkSetUp(l)
}

// packetSocket makes a socket that sends frames at once, also while the kernel
// is still about to activate the interface.
func packetSocket(index int) (fd int, err error) {
	if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
		return 0, err
	}
	err = errors.Join(unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1),
		unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: index}))
	if err != nil {
		return 0, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

// sendSYN sends the frame of a SYN.
func (p *quickPod) sendSYN(port uint16) error {
	frame, err := synFrame(p.addr, netip.MustParseAddr("192.0.2.1"), port)
	if err != nil {
		return err
	}
	_, err = unix.Write(p.socket, frame)
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
