package datapath

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"
	"unsafe"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/fovea-obs/fovea/bpf"
)

const (
	// loggedBytes is how much of each packet is asked for: the headers.
	loggedBytes = 80
	// keepLogged is how long after it was logged a packet may be dropped, or its
	// like: rules mostly log but some of the packets.
	keepLogged = 10 * time.Second
	// maxLogged is of how many connections it is remembered what was logged: twice
	// as many, of which the older half is forgotten at once.
	maxLogged = 2048
	// logBuffer is room for what is logged between two batches of events, in bytes.
	logBuffer = 1 << 20
)

// packetLog is what rules log of packets to a group of NFLOG. The kernel has a message
// of a packet ready before it drops that, so one that reads all messages when it hears
// of a drop has what was logged of it. It is for one goroutine.
type packetLog struct {
	socket *nl.NetlinkSocket
	buffer []byte
	// recent are texts by connection, older the ones before.
	recent, older map[loggedKey]logged
}

type logged struct {
	text string
	at   time.Time
}

// loggedKey is a connection as its packets are where they are logged, in the form of
// events.
type loggedKey struct {
	src, dst     [16]byte
	sport, dport uint16
	protocol     uint8
}

// openPacketLog listens to a group, in the network namespace of the path, or in the
// process's own if that is empty. It fails if somebody else does already. The caller
// must Close.
func openPacketLog(path string, group uint16) (*packetLog, error) {
	s, err := netfilterSocket(path)
	if err != nil {
		return nil, err
	}
	l := &packetLog{socket: s, buffer: make([]byte, 1<<16)}
	if err := l.bind(group); err != nil {
		s.Close()
		return nil, err
	}
	return l, nil
}

// Messages and attributes of NFLOG (include/uapi/linux/netfilter/nfnetlink_log.h).
const (
	messagePacket = unix.NFNL_SUBSYS_ULOG << 8
	messageConfig = unix.NFNL_SUBSYS_ULOG<<8 | 1

	configCommand   = 1
	configMode      = 2
	configThreshold = 5

	commandBind = 1
	copyPacket  = 2

	attributePayload = 9
	attributePrefix  = 10
)

func (l *packetLog) bind(group uint16) error {
	mode := make([]byte, 6) // struct nfulnl_msg_config_mode
	binary.BigEndian.PutUint32(mode, loggedBytes)
	mode[4] = copyPacket
	request := nl.NewNetlinkRequest(messageConfig, unix.NLM_F_ACK)
	request.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_NETFILTER: {Socket: l.socket}}
	request.AddData(&nl.Nfgenmsg{Version: nl.NFNETLINK_V0, ResId: nl.Swap16(group)})
	request.AddData(nl.NewRtAttr(configCommand, []byte{commandBind}))
	request.AddData(nl.NewRtAttr(configMode, mode))
	// Each packet has a message of its own, which waits for no other.
	request.AddData(nl.NewRtAttr(configThreshold, binary.BigEndian.AppendUint32(nil, 1)))
	if _, err := request.Execute(unix.NETLINK_NETFILTER, 0); err != nil {
		return fmt.Errorf("listen to NFLOG group %d: %w", group, err)
	}
	// More than most systems let others than root have; less is enough, too.
	_ = unix.SetsockoptInt(l.socket.GetFd(), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, logBuffer)
	return nil
}

// Close stops to listen.
func (l *packetLog) Close() error {
	l.socket.Close()
	return nil
}

// of returns what was logged last of the packets of an event.
func (l *packetLog) of(e *bpf.FoveaEvent, now time.Time) string {
	l.drain(now)
	return l.find(loggedKey{
		src: *(*[16]byte)(unsafe.Pointer(&e.Src)), dst: *(*[16]byte)(unsafe.Pointer(&e.Dst)),
		sport: e.Sport, dport: e.Dport, protocol: e.Protocol,
	}, now)
}

func (l *packetLog) find(k loggedKey, now time.Time) string {
	got, ok := l.recent[k]
	if !ok {
		got = l.older[k]
	}
	if now.Sub(got.at) > keepLogged {
		return ""
	}
	return got.text
}

// drain reads what there is. What did not fit is lost: it is not asked for twice.
func (l *packetLog) drain(now time.Time) {
	for {
		n, _, err := unix.Recvfrom(l.socket.GetFd(), l.buffer, unix.MSG_DONTWAIT)
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.ENOBUFS) {
			continue
		}
		if err != nil {
			return
		}
		for rest := l.buffer[:n]; len(rest) >= unix.SizeofNlMsghdr; {
			size := int(binary.NativeEndian.Uint32(rest))
			if size < unix.SizeofNlMsghdr+nl.SizeofNfgenmsg || size > len(rest) {
				break
			}
			if binary.NativeEndian.Uint16(rest[4:]) == messagePacket {
				if k, text, ok := readLogged(rest[unix.SizeofNlMsghdr+nl.SizeofNfgenmsg : size]); ok {
					l.note(k, logged{text, now})
				}
			}
			rest = rest[min(len(rest), (size+unix.NLMSG_ALIGNTO-1)&^(unix.NLMSG_ALIGNTO-1)):]
		}
	}
}

func (l *packetLog) note(k loggedKey, what logged) {
	if l.recent == nil || len(l.recent) >= maxLogged {
		l.recent, l.older = map[loggedKey]logged{}, l.recent
	}
	l.recent[k] = what
}

// readLogged reads the attributes of a message. It is not ok for a packet without a
// text, or that is not IP.
func readLogged(attributes []byte) (k loggedKey, text string, ok bool) {
	values, err := children(attributes)
	if err != nil {
		return k, "", false
	}
	line, _, _ := bytes.Cut(values[attributePrefix], []byte{0})
	k, ok = keyOf(values[attributePayload])
	return k, string(line), ok && len(line) > 0
}

// keyOf reads the headers of a packet, as bpf/parse.h does those of plain ones: other
// headers of IPv6 than that of a transport are not passed over.
func keyOf(packet []byte) (k loggedKey, ok bool) {
	if len(packet) == 0 {
		return k, false
	}
	var transport []byte
	switch version := packet[0] >> 4; {
	case version == 4 && len(packet) >= 20:
		length := int(packet[0]&15) * 4
		if length < 20 || length > len(packet) || binary.BigEndian.Uint16(packet[6:])&0x1fff != 0 {
			return k, false
		}
		k.src = netip.AddrFrom4([4]byte(packet[12:])).As16()
		k.dst = netip.AddrFrom4([4]byte(packet[16:])).As16()
		k.protocol, transport = packet[9], packet[length:]
	case version == 6 && len(packet) >= 40:
		k.src, k.dst = [16]byte(packet[8:]), [16]byte(packet[24:])
		k.protocol, transport = packet[6], packet[40:]
	default:
		return k, false
	}
	switch {
	case len(transport) < 4:
		return k, false
	case k.protocol == unix.IPPROTO_ICMP || k.protocol == unix.IPPROTO_ICMPV6:
		k.sport, k.dport = uint16(transport[0]), uint16(transport[1])
	case k.protocol == unix.IPPROTO_TCP || k.protocol == unix.IPPROTO_UDP || k.protocol == unix.IPPROTO_SCTP:
		k.sport, k.dport = binary.BigEndian.Uint16(transport), binary.BigEndian.Uint16(transport[2:])
	default:
		return k, false
	}
	return k, true
}
