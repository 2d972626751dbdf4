package datapath

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// ifaTargetNetnsid is IFA_TARGET_NETNSID of include/uapi/linux/if_addr.h.
const ifaTargetNetnsid = 10

// farDelays are after what times a new interface's far end is looked at. Whoever
// makes a pod moves that end first and gives it addresses then, of which nothing
// is told in this namespace.
var farDelays = [...]time.Duration{0, 10 * time.Millisecond, 50 * time.Millisecond, 200 * time.Millisecond,
	time.Second, 3 * time.Second, 10 * time.Second}

// farLook is that an interface's far end is to be looked at.
type farLook struct {
	due   time.Time
	index int
	tries int
}

// lookAtFar has the far end of an interface looked at.
func (w *watcher) lookAtFar(k *watched) {
	w.look(farLook{index: k.link.Attrs().Index})
}

func (w *watcher) look(l farLook) {
	for ; l.tries < len(farDelays); l.tries++ {
		if delay := farDelays[l.tries]; delay > 0 && l.due.IsZero() {
			l.due = time.Now().Add(delay)
			w.looks = append(w.looks, l)
			return
		}
		l.due = time.Time{}
		k, ok := w.links[l.index]
		if !ok || k.attached == nil {
			return
		}
		w.setFar(k)
	}
}

// lookAgain looks at those whose time has come, and returns how long it is until
// the next, 0 if there is none.
func (w *watcher) lookAgain() time.Duration {
	now := time.Now()
	var due []farLook
	w.looks = slices.DeleteFunc(w.looks, func(l farLook) bool {
		if l.due.After(now) {
			return false
		}
		due = append(due, l)
		return true
	})
	for _, l := range due {
		w.look(l)
	}
	var next time.Duration
	for _, l := range w.looks {
		if d := max(time.Until(l.due), time.Millisecond); next == 0 || d < next {
			next = d
		}
	}
	return next
}

// setFar tells which addresses the far end of an interface has, if they are others
// than before.
func (w *watcher) setFar(k *watched) {
	a := k.link.Attrs()
	if k.role != roleEndpoint || k.link.Type() != "veth" || a.NetNsID < 0 || a.ParentIndex == 0 {
		return
	}
	addrs, err := w.farAddresses(a.NetNsID, a.ParentIndex)
	if err != nil {
		// The namespace may be gone by now. If it is not that, all fail alike.
		if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENODEV) && !w.unreadable {
			w.unreadable = true
			w.log.Warn("Endpoints are not found by their addresses: those at the far end cannot be read",
				"interface", a.Name, "error", err)
		}
		return
	}
	if len(addrs) == 0 || slices.Equal(addrs, k.far) {
		return
	}
	if mac, err := w.farMAC(a.NetNsID, a.ParentIndex); err == nil {
		w.cfg.Interfaces.SetFarMAC(uint32(a.Index), mac)
	}
	// The first were its from the start.
	at := k.since
	if k.far != nil {
		at = time.Now().UnixNano()
	}
	k.far = addrs
	w.cfg.Interfaces.SetFarAddresses(uint32(a.Index), addrs, at)
}

// farAddresses lists the addresses of an interface in another network namespace,
// of which this one knows the number.
func (w *watcher) farAddresses(nsid, index int) ([]netip.Addr, error) {
	request := nl.NewNetlinkRequest(unix.RTM_GETADDR, unix.NLM_F_DUMP)
	request.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: w.strict}}
	about := nl.NewIfAddrmsg(unix.AF_UNSPEC)
	about.Index = uint32(index)
	request.AddData(about)
	request.AddData(nl.NewRtAttr(ifaTargetNetnsid, nl.Uint32Attr(uint32(nsid))))
	messages, err := request.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWADDR)
	if err != nil {
		return nil, fmt.Errorf("list addresses of interface %d in namespace %d: %w", index, nsid, err)
	}
	var addrs []netip.Addr
	for _, m := range messages {
		if len(m) < unix.SizeofIfAddrmsg {
			continue
		}
		attrs, err := nl.ParseRouteAttr(m[unix.SizeofIfAddrmsg:])
		if err != nil {
			return nil, fmt.Errorf("read an address: %w", err)
		}
		if a := addressOf(attrs); a.IsGlobalUnicast() {
			addrs = append(addrs, a)
		}
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return addrs, nil
}

// farMAC returns the hardware address of an interface in another network namespace.
func (w *watcher) farMAC(nsid, index int) (mac [6]byte, err error) {
	request := nl.NewNetlinkRequest(unix.RTM_GETLINK, 0)
	request.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: w.strict}}
	about := nl.NewIfInfomsg(unix.AF_UNSPEC)
	about.Index = int32(index)
	request.AddData(about)
	request.AddData(nl.NewRtAttr(unix.IFLA_TARGET_NETNSID, nl.Uint32Attr(uint32(nsid))))
	messages, err := request.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	if err != nil {
		return mac, fmt.Errorf("look at interface %d in namespace %d: %w", index, nsid, err)
	}
	for _, m := range messages {
		attrs, err := nl.ParseRouteAttr(m[min(len(m), unix.SizeofIfInfomsg):])
		if err != nil {
			return mac, fmt.Errorf("read an interface: %w", err)
		}
		for _, a := range attrs {
			if a.Attr.Type == unix.IFLA_ADDRESS && len(a.Value) == len(mac) {
				copy(mac[:], a.Value)
			}
		}
	}
	return mac, nil
}

// addressOf returns an interface's own address. On one that leads to a single
// other, IFA_ADDRESS is that one's.
func addressOf(attrs []syscall.NetlinkRouteAttr) netip.Addr {
	var found netip.Addr
	for _, a := range attrs {
		if a.Attr.Type != unix.IFA_LOCAL && a.Attr.Type != unix.IFA_ADDRESS {
			continue
		}
		if ip, ok := netip.AddrFromSlice(a.Value); ok && (!found.IsValid() || a.Attr.Type == unix.IFA_LOCAL) {
			found = ip.Unmap()
		}
	}
	return found
}

// strictSocket returns a socket on which the kernel takes all of a request into
// account, also of which namespace it is (net/ipv4/devinet.c: inet_dump_ifaddr).
func strictSocket() (*nl.NetlinkSocket, error) {
	s, err := nl.Subscribe(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	if err := unix.SetsockoptInt(s.GetFd(), unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1); err != nil {
		s.Close()
		return nil, fmt.Errorf("have netlink look at all of a request: %w", err)
	}
	return s, nil
}
