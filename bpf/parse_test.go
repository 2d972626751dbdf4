package bpf

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// kernel runs a program for endpoints' packets on frames, in the kernel.
type kernel struct {
	program *ebpf.Program
	stats   *ebpf.Map
	events  *ringbuf.Reader
}

func newKernel(t testing.TB) *kernel {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: to load BPF programs")
	}
	spec, err := LoadFovea()
	if err != nil {
		t.Fatal(err)
	}
	if err := spec.Variables[FoveaVarAggregate].Set(uint8(0)); err != nil {
		t.Fatal(err)
	}
	for name := range spec.Programs {
		if name != FoveaProgFromEndpoint {
			delete(spec.Programs, name)
		}
	}
	c, err := ebpf.NewCollection(spec)
	if err != nil {
		t.Fatalf("load: %+v", err)
	}
	t.Cleanup(c.Close)
	events, err := ringbuf.NewReader(c.Maps[FoveaMapEvents])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { events.Close() })
	events.SetDeadline(time.Unix(1, 0))
	return &kernel{c.Programs[FoveaProgFromEndpoint], c.Maps[FoveaMapCpuStats], events}
}

// parse returns what the program makes of a frame.
func (k *kernel) parse(t testing.TB, frame []byte) parsed {
	t.Helper()
	before := k.malformed(t)
	ret, err := k.program.Run(&ebpf.RunOptions{Data: frame})
	// Some kernels refuse to run a program on a frame that ends before its IP
	// header does; behind VLAN tags none of them looks.
	if errors.Is(err, unix.EINVAL) && len(frame) < 14+40 {
		return reference(frame)
	}
	if err != nil {
		t.Fatalf("run on %d bytes: %v", len(frame), err)
	}
	if int32(ret) != -1 {
		t.Fatalf("the program decided over a packet: it returned %d", int32(ret))
	}
	if n := k.malformed(t) - before; n > 0 {
		return parsed{malformed: true}
	}
	record, err := k.events.Read()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return parsed{other: true}
	}
	if err != nil {
		t.Fatal(err)
	}
	e := (*FoveaEvent)(unsafe.Pointer(&record.RawSample[0]))
	if e.Bytes != uint64(len(frame)) || e.Packets != 1 {
		t.Errorf("%d packets with %d bytes for a frame of %d", e.Packets, e.Bytes, len(frame))
	}
	if want := frame[6:12]; !bytes.Equal(e.SrcMac[:], want) {
		t.Errorf("source %x, want %x", e.SrcMac, want)
	}
	p := parsed{
		src: *(*[16]byte)(unsafe.Pointer(&e.Src)), dst: *(*[16]byte)(unsafe.Pointer(&e.Dst)),
		protocol: e.Protocol, noPorts: FoveaEventFlag(e.Flags)&FoveaEventFlagFLAG_NO_PORTS != 0,
		sport: e.Sport, dport: e.Dport, tcpFlags: e.TcpFlags,
	}
	if _, err := k.events.Read(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a second event for one packet: %v", err)
	}
	return p
}

func (k *kernel) malformed(t testing.TB) (sum uint64) {
	t.Helper()
	var stats []FoveaStats
	if err := k.stats.Lookup(uint32(0), &stats); err != nil {
		t.Fatal(err)
	}
	for _, s := range stats {
		sum += s.Malformed
	}
	return sum
}

func check(t testing.TB, k *kernel, frame []byte) {
	t.Helper()
	got, want := k.parse(t, frame), reference(frame)
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(parsed{})); diff != "" {
		t.Errorf("frame %x (-reference +kernel):\n%s", frame, diff)
	}
}

// Frames are written by header, from the front.
const (
	macs  = "020000000001 020000000002 "
	ip4   = "4500 %l 0001 0000 40 %p 0000 0a000001 0a010001 "
	ip6   = "60000000 %m %p 40 fd000000000000000000000000000001 fd000000000000000000000000000002 "
	tcp   = "9c40 0050 00000001 00000002 5018 ffff 0000 0000 "
	ports = "9c40 0035 0010 0000 "
)

var frames = []struct{ name, protocol, hex string }{
	{"arp", "", macs + "0806 0001080006040001"},
	{"tcp", "06", macs + "0800 " + ip4 + tcp},
	{"tcp data", "06", macs + "0800 " + ip4 + tcp + "01020304"},
	{"tcp options", "06", macs + "0800 " + ip4 + "9c40 0050 00000001 00000000 7002 ffff 0000 0000 0204 05b4 0101 0402"},
	{"tcp flags", "06", macs + "0800 " + ip4 + "9c40 0050 00000001 00000000 51ff ffff 0000 0000"},
	{"tcp header too short", "06", macs + "0800 " + ip4 + "9c40 0050 00000001 00000002 4018 ffff 0000 0000"},
	{"tcp header too long", "06", macs + "0800 " + ip4 + "9c40 0050 00000001 00000002 f018 ffff 0000 0000"},
	{"tcp cut", "06", macs + "0800 " + ip4 + "9c40 0050 0000"},
	{"udp", "11", macs + "0800 " + ip4 + ports},
	{"udp over vlan", "11", macs + "8100 0064 0800 " + ip4 + ports},
	{"udp over two vlans", "11", macs + "88a8 0064 8100 0065 0800 " + ip4 + ports},
	{"three vlans", "11", macs + "88a8 0064 8100 0065 8100 0066 0800 " + ip4 + ports},
	{"ip6 over vlan", "11", macs + "8100 0064 86dd " + ip6 + ports},
	{"vlan cut", "11", macs + "8100 00"},
	{"ip options", "11", macs + "0800 4600 %l 0001 0000 40 11 0000 0a000001 0a010001 01010101 " + ports},
	{"ip options cut", "11", macs + "0800 4f00 %l 0001 0000 40 11 0000 0a000001 0a010001 " + ports},
	{"ip header too short", "11", macs + "0800 4400 %l 0001 0000 40 11 0000 0a000001 0a010001 " + ports},
	{"ip of version 5", "11", macs + "0800 5500 %l 0001 0000 40 11 0000 0a000001 0a010001 " + ports},
	{"ip longer than frame", "11", macs + "0800 4500 0100 0001 0000 40 11 0000 0a000001 0a010001 " + ports},
	{"ip shorter than frame", "11", macs + "0800 4500 0018 0001 0000 40 11 0000 0a000001 0a010001 " + ports},
	{"ip length of nothing", "11", macs + "0800 4500 0000 0001 0000 40 11 0000 0a000001 0a010001 " + ports},
	{"ip padding", "06", macs + "0800 4500 0028 0001 0000 40 06 0000 0a000001 0a010001 " + tcp + "000000000000"},
	{"first fragment", "11", macs + "0800 4500 %l 0001 2000 40 11 0000 0a000001 0a010001 " + ports},
	{"later fragment", "11", macs + "0800 4500 %l 0001 2005 40 11 0000 0a000001 0a010001 " + ports},
	{"icmp echo", "01", macs + "0800 " + ip4 + "0800 f7fe 1234 0001"},
	{"icmp unreachable", "01", macs + "0800 " + ip4 + "0303 f7fe 00000000 " + "4500"},
	{"icmp of four bytes", "01", macs + "0800 " + ip4 + "0a00 f7fe"},
	{"icmp cut", "01", macs + "0800 " + ip4 + "0800"},
	{"igmp", "02", macs + "0800 " + ip4 + "1600 0000 e0000005"},
	{"vrrp", "70", macs + "0800 " + ip4 + "21 07 64 01 0001 0000 0a000001"},
	{"sctp", "84", macs + "0800 " + ip4 + "9c40 0050 00000001 00000000 01000014"},
	{"sctp cut", "84", macs + "0800 " + ip4 + "9c40 0050 00000001"},
	{"gre", "2f", macs + "0800 " + ip4 + "0000 0800 4500"},
	{"esp", "32", macs + "0800 " + ip4 + "00000001 00000002"},
	{"ip6 tcp", "06", macs + "86dd " + ip6 + tcp},
	{"ip6 udp", "11", macs + "86dd " + ip6 + ports},
	{"ip6 icmp", "3a", macs + "86dd " + ip6 + "8000 0000 1234 0001"},
	{"ip6 hop-by-hop", "00", macs + "86dd " + ip6 + "11 00 010400000000 " + ports},
	{"ip6 routing and destination", "2b", macs + "86dd " + ip6 + "3c 00 000000000000 06 01 0104000000000000000000000000 " + tcp},
	{"ip6 authentication", "33", macs + "86dd " + ip6 + "11 01 0000 00000001 00000001 " + ports},
	{"ip6 first fragment", "2c", macs + "86dd " + ip6 + "11 00 0001 00000001 " + ports},
	{"ip6 later fragment", "2c", macs + "86dd " + ip6 + "11 00 0008 00000001 " + ports},
	{"ip6 fragment cut", "2c", macs + "86dd " + ip6 + "11 00 0000"},
	{"ip6 extension over the end", "00", macs + "86dd " + ip6 + "11 09 010400000000 " + ports},
	{"ip6 nine extensions", "00", macs + "86dd " + ip6 + strings.Repeat("00 00 010400000000 ", 8) + "11 00 010400000000 " + ports},
	{"ip6 no next header", "3b", macs + "86dd " + ip6},
	{"ip6 longer than frame", "11", macs + "86dd 60000000 0100 11 40 fd000000000000000000000000000001 fd000000000000000000000000000002 " + ports},
	{"ip6 cut", "11", macs + "86dd 60000000 0008 11 40 fd00"},
}

// frame fills in the protocol and the length of the IP header.
func frame(t testing.TB, text, protocol string) []byte {
	t.Helper()
	text = strings.ReplaceAll(strings.ReplaceAll(text, "%p", protocol), " ", "")
	at4, at6 := strings.Index(text, "%l"), strings.Index(text, "%m")
	text = strings.ReplaceAll(strings.ReplaceAll(text, "%l", "0000"), "%m", "0000")
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	if at4 >= 0 {
		at := at4 / 2
		binary.BigEndian.PutUint16(b[at:], uint16(len(b)-at+2))
	}
	if at6 >= 0 {
		at := at6 / 2
		binary.BigEndian.PutUint16(b[at:], uint16(len(b)-at-36))
	}
	return b
}

// TestParse compares the kernel's parser with the reference.
func TestParse(t *testing.T) {
	k := newKernel(t)
	for _, f := range frames {
		t.Run(f.name, func(t *testing.T) {
			b := frame(t, f.hex, f.protocol)
			check(t, k, b)
			// Every way to cut it short.
			for n := 14; n < len(b); n++ {
				check(t, k, b[:n])
			}
		})
	}
}

// FuzzParse compares the kernel's parser with the reference on arbitrary bytes.
func FuzzParse(f *testing.F) {
	for _, x := range frames {
		f.Add(frame(f, x.hex, x.protocol))
	}
	k := newKernel(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		// The kernel runs programs on nothing shorter than an Ethernet header,
		// and on one page at most.
		if len(b) < 14 || len(b) > 3000 {
			t.Skip()
		}
		check(t, k, b)
	})
}
