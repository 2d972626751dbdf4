package datapath

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"unsafe"

	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/fovea-obs/fovea/bpf"
)

// answerWithin is how long an answer may take, in seconds. The kernel has it by the
// time that it has the question.
const answerWithin = 1

// conntrack asks by netlink, as kernels before 5.18 let no program ask. It looks
// into the network namespace that its socket was made in.
type conntrack struct{ sockets map[int]*nl.SocketHandle }

// openConntrack opens a socket in the network namespace of the path, or in the
// process's own if that is empty, and asks for what is not there: a kernel may
// lack the module that answers, or the process the right.
func openConntrack(path string) (*conntrack, error) {
	s, err := netfilterSocket(path)
	if err != nil {
		return nil, err
	}
	c := &conntrack{map[int]*nl.SocketHandle{unix.NETLINK_NETFILTER: {Socket: s}}}
	nothing := bpf.FoveaTranslation{Protocol: unix.IPPROTO_TCP}
	if err = s.SetReceiveTimeout(&unix.Timeval{Sec: answerWithin}); err == nil {
		err = c.translate([]bpf.FoveaTranslation{nothing})
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// netfilterSocket opens one in the network namespace of the path, or in the process's
// own if that is empty.
func netfilterSocket(path string) (*nl.NetlinkSocket, error) {
	ns := netns.None()
	if path != "" {
		var err error
		if ns, err = netns.GetFromPath(path); err != nil {
			return nil, fmt.Errorf("open network namespace: %w", err)
		}
		defer ns.Close()
	}
	s, err := nl.GetNetlinkSocketAt(ns, netns.None(), unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	return s, nil
}

// Close closes the socket.
func (c *conntrack) Close() error {
	c.sockets[unix.NETLINK_NETFILTER].Close()
	return nil
}

func (c *conntrack) translate(list []bpf.FoveaTranslation) error {
	for i := range list {
		if p := list[i].Protocol; p != unix.IPPROTO_TCP && p != unix.IPPROTO_UDP {
			continue
		}
		if err := c.translateOne(&list[i]); err != nil {
			return fmt.Errorf("ask for a connection: %w", err)
		}
	}
	return nil
}

// translateOne looks as translate_one of bpf/conntrack.h does: for the tuple as it
// is, and for its reverse. The kernel finds a connection by the tuple of either
// direction.
func (c *conntrack) translateOne(t *bpf.FoveaTranslation) error {
	asked := tuple{t.Src, t.Dst}
	sent, answers, err := c.get(asked, t.Protocol)
	if errors.Is(err, unix.ENOENT) {
		sent, answers, err = c.get(asked.reverse(), t.Protocol)
	}
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	went := answers.reverse()
	t.Found = 1
	t.SentSrc, t.SentDst = sent.src, sent.dst
	t.WentSrc, t.WentDst = went.src, went.dst
	return nil
}

// get returns the tuples of both directions of the connection that has the given
// one. It fails with ENOENT if there is none.
func (c *conntrack) get(of tuple, protocol uint8) (original, reply tuple, err error) {
	family := uint8(unix.AF_INET6)
	if of.is4() {
		family = unix.AF_INET
	}
	const messages = unix.NFNL_SUBSYS_CTNETLINK << 8
	// An answer looks like the first of several, so that its end has to be told.
	request := nl.NewNetlinkRequest(messages|nl.IPCTNL_MSG_CT_GET, unix.NLM_F_ACK)
	request.Sockets = c.sockets
	request.AddData(&nl.Nfgenmsg{NfgenFamily: family, Version: nl.NFNETLINK_V0})
	request.AddData(of.attribute(protocol))
	answer, err := request.Execute(unix.NETLINK_NETFILTER, messages|nl.IPCTNL_MSG_CT_NEW)
	if err != nil {
		return tuple{}, tuple{}, err
	}
	if len(answer) != 1 || len(answer[0]) < nl.SizeofNfgenmsg {
		return tuple{}, tuple{}, errors.New("an answer of another form")
	}
	attrs, err := children(answer[0][nl.SizeofNfgenmsg:])
	if err == nil {
		original, err = readTuple(attrs[nl.CTA_TUPLE_ORIG])
	}
	if err == nil {
		reply, err = readTuple(attrs[nl.CTA_TUPLE_REPLY])
	}
	return original, reply, err
}

// tuple is the source and destination of one direction of a connection.
type tuple struct{ src, dst bpf.FoveaEnd }

func (t tuple) reverse() tuple { return tuple{t.dst, t.src} }

func (t tuple) is4() bool { return address(&t.src).Is4In6() && address(&t.dst).Is4In6() }

// attribute is the tuple as netlink has it (net/netfilter/nf_conntrack_netlink.c:
// ctnetlink_parse_tuple).
func (t tuple) attribute(protocol uint8) *nl.RtAttr {
	src, dst := address(&t.src), address(&t.dst)
	srcType, dstType := nl.CTA_IP_V6_SRC, nl.CTA_IP_V6_DST
	if t.is4() {
		src, dst = src.Unmap(), dst.Unmap()
		srcType, dstType = nl.CTA_IP_V4_SRC, nl.CTA_IP_V4_DST
	}
	all := nl.NewRtAttr(nl.CTA_TUPLE_ORIG|int(nl.NLA_F_NESTED), nil)
	ip := all.AddRtAttr(nl.CTA_TUPLE_IP|int(nl.NLA_F_NESTED), nil)
	ip.AddRtAttr(srcType, src.AsSlice())
	ip.AddRtAttr(dstType, dst.AsSlice())
	proto := all.AddRtAttr(nl.CTA_TUPLE_PROTO|int(nl.NLA_F_NESTED), nil)
	proto.AddRtAttr(nl.CTA_PROTO_NUM, nl.Uint8Attr(protocol))
	proto.AddRtAttr(nl.CTA_PROTO_SRC_PORT, nl.BEUint16Attr(t.src.Port))
	proto.AddRtAttr(nl.CTA_PROTO_DST_PORT, nl.BEUint16Attr(t.dst.Port))
	return all
}

// readTuple is the reverse of attribute.
func readTuple(data []byte) (t tuple, err error) {
	attrs, err := children(data)
	if err != nil {
		return t, err
	}
	ip, err := children(attrs[nl.CTA_TUPLE_IP])
	if err != nil {
		return t, err
	}
	proto, err := children(attrs[nl.CTA_TUPLE_PROTO])
	if err != nil {
		return t, err
	}
	t.src, err = readEnd(ip[nl.CTA_IP_V4_SRC], ip[nl.CTA_IP_V6_SRC], proto[nl.CTA_PROTO_SRC_PORT])
	if err == nil {
		t.dst, err = readEnd(ip[nl.CTA_IP_V4_DST], ip[nl.CTA_IP_V6_DST], proto[nl.CTA_PROTO_DST_PORT])
	}
	return t, err
}

// readEnd reads an address, which is of one of two types, and a port.
func readEnd(ip4, ip6, port []byte) (e bpf.FoveaEnd, err error) {
	ip := slices.Concat(ip4, ip6)
	a, ok := netip.AddrFromSlice(ip)
	if !ok || len(port) != 2 {
		return e, fmt.Errorf("a tuple with address %x and port %x", ip, port)
	}
	*(*[16]byte)(unsafe.Pointer(&e.Addr.Words)) = a.As16()
	e.Port = binary.BigEndian.Uint16(port)
	return e, nil
}

// address returns that of an end: one of IPv4 is mapped.
func address(e *bpf.FoveaEnd) netip.Addr {
	return netip.AddrFrom16(*(*[16]byte)(unsafe.Pointer(&e.Addr.Words)))
}

// children returns the values of attributes by their types.
func children(data []byte) (map[uint16][]byte, error) {
	values := map[uint16][]byte{}
	for len(data) >= unix.SizeofNlAttr {
		size, kind := int(binary.NativeEndian.Uint16(data)), binary.NativeEndian.Uint16(data[2:])
		if size < unix.SizeofNlAttr || size > len(data) {
			return nil, fmt.Errorf("read attributes: one of %d bytes in %d", size, len(data))
		}
		values[kind&nl.NLA_TYPE_MASK] = data[unix.SizeofNlAttr:size]
		// What follows begins at a multiple of four, but nothing need follow.
		data = data[min(len(data), (size+3)&^3):]
	}
	return values, nil
}
