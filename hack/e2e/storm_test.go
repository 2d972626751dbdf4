package e2e

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/fovea-obs/fovea/hack/lab"
)

// stormPort is where nothing gets through to.
const stormPort = 7777

// TestDropStorm has a great many packets dropped, of one connection and of many
// that are alike in nothing but where they go: the sum of what is told is exact, in
// few flows, and nothing else is lost.
func TestDropStorm(t *testing.T) {
	s := newShopWithoutServices(t)
	_, err := s.near.AddDrop(lab.Drop{Protocol: lab.UDP, Port: stormPort, Hook: lab.Forward})
	check(t, err)
	a := startAgent(t, s.agentConfig(t, s.near, "--log-level", "debug"))
	counts := &storm{changed: make(chan struct{}, 1)}
	f := follow(t, a, time.Now(), counts.add)
	ctx := testContext(t)
	t.Run("one connection", func(t *testing.T) {
		sent, err := lab.UDPFlood{
			Target: netip.AddrPortFrom(s.web.IPv4, stormPort), Bytes: 10, Packets: 500_000,
		}.Run(ctx, s.client.NS)
		check(t, err)
		flows, folded := counts.await(ctx, t, uint64(sent.Packets))
		t.Logf("%d packets in %v: %.0f a second, in %d flows", sent.Packets, sent.Elapsed,
			float64(sent.Packets)/sent.Elapsed.Seconds(), flows)
		if most := 4 + int(sent.Elapsed/time.Second); flows > most || folded > 0 {
			t.Errorf("told in %d flows, %d of nobody, want at most %d", flows, folded, most)
		}
	})
	t.Run("many sources", func(t *testing.T) {
		const packets = 200_000
		start := time.Now()
		check(t, s.floodFromAnywhere(packets))
		took := time.Since(start)
		flows, folded := counts.await(ctx, t, packets)
		t.Logf("%d packets in %v: %.0f a second, in %d flows, %d of them of sources together", packets, took,
			packets/took.Seconds(), flows, folded)
		if folded == 0 || flows > packets/4 {
			t.Errorf("told in %d flows, %d of many sources together", flows, folded)
		}
	})
	f.report(t)
}

// storm adds up what is told of the packets that are dropped at a port.
type storm struct {
	mu      sync.Mutex
	packets uint64
	flows   int
	folded  int
	changed chan struct{}
}

func (s *storm) add(f *flowpb.Flow) []string {
	if f.GetVerdict() != flowpb.Verdict_DROPPED || f.GetL4().GetUDP().GetDestinationPort() != stormPort {
		return nil
	}
	s.mu.Lock()
	s.packets += sumOf(f).packets
	s.flows++
	source := f.GetIP().GetSource()
	if source == "0.0.0.0" {
		s.folded++
	}
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default:
	}
	if reason := extensionsOf(f)["drop"].GetStructValue().GetFields()["reason"].GetStringValue(); reason != "NETFILTER_DROP" {
		return []string{fmt.Sprintf("dropped for %q", reason)}
	}
	if who := who(f.GetSource()); source == "0.0.0.0" && who != "shop/client" {
		return []string{"many sources are told as " + who}
	}
	return nil
}

// await waits until so many packets were told, checks that no more are, and begins
// anew. It returns in how many flows, and how many of these were of no one source.
func (s *storm) await(ctx context.Context, t *testing.T, packets uint64) (flows, folded int) {
	t.Helper()
	// What comes after the sum is reached would come within the next sweeps.
	late := time.Hour
	for {
		select {
		case <-s.changed:
		case <-time.After(late):
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.packets != packets {
				t.Errorf("%d packets are told, want %d", s.packets, packets)
			}
			flows, folded = s.flows, s.folded
			s.packets, s.flows, s.folded = 0, 0, 0
			return flows, folded
		case <-ctx.Done():
			s.mu.Lock()
			defer s.mu.Unlock()
			t.Fatalf("%d packets are told in %d flows, want %d", s.packets, s.flows, packets)
		}
		s.mu.Lock()
		if s.packets >= packets {
			late = 3 * time.Second
		}
		s.mu.Unlock()
	}
}

// floodFromAnywhere sends datagrams from the client, each from another address and
// port.
func (s *shop) floodFromAnywhere(packets int) error {
	gateway, err := s.hardwareAddress(s.client.HostLink)
	if err != nil {
		return err
	}
	return sendFrames(s.client, func(link *net.Interface, socket int) error {
		frame := datagramFrame(link.HardwareAddr, gateway, s.web.IPv4, stormPort)
		for i := range packets {
			setSource(frame, uint32(i))
			for {
				_, err := unix.Write(socket, frame)
				if err == nil {
					break
				}
				if !errors.Is(err, unix.ENOBUFS) {
					return fmt.Errorf("send frame %d: %w", i, err)
				}
			}
		}
		return nil
	})
}

// hardwareAddress is that of an interface of the near node.
func (s *shop) hardwareAddress(index int) (mac net.HardwareAddr, err error) {
	h, err := s.near.NS.Netlink()
	if err != nil {
		return nil, err
	}
	defer h.Close()
	var l netlink.Link
	if l, err = h.LinkByIndex(index); err != nil {
		return nil, err
	}
	return l.Attrs().HardwareAddr, nil
}

// datagramFrame is an empty datagram of UDP over IPv4 that has no source yet.
func datagramFrame(src, dst net.HardwareAddr, to netip.Addr, port uint16) []byte {
	b := make([]byte, 14+20+8)
	copy(b[0:], dst)
	copy(b[6:], src)
	binary.BigEndian.PutUint16(b[12:], unix.ETH_P_IP)
	ip := b[14:]
	ip[0], ip[8], ip[9] = 0x45, 64, unix.IPPROTO_UDP
	binary.BigEndian.PutUint16(ip[2:], 28)
	copy(ip[16:20], to.AsSlice())
	// Without a checksum, which UDP over IPv4 may lack.
	binary.BigEndian.PutUint16(ip[22:], port)
	binary.BigEndian.PutUint16(ip[24:], 8)
	return b
}

// setSource gives a frame the n-th source: addresses for benchmarks (RFC 2544).
func setSource(frame []byte, n uint32) {
	ip := frame[14:]
	binary.BigEndian.PutUint32(ip[12:], 198<<24|18<<16|n&0xffff)
	binary.BigEndian.PutUint16(ip[20:], uint16(1024+n>>16))
	binary.BigEndian.PutUint16(ip[10:], 0)
	var sum uint32
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum))
}
