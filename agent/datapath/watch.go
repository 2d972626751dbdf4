package datapath

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// watchBuffer is the size of the netlink socket's receive buffer: some thousand
// interfaces may change before the kernel has to drop a message.
const watchBuffer = 4 << 20

// watcher follows the interfaces of one network namespace. It belongs to one
// goroutine, whose thread is in that namespace.
type watcher struct {
	*Datapath
	nl    *netlink.Handle
	links map[int]*watched
	// strict is for requests about other namespaces, looks are those to make.
	// unreadable says that it was told that they fail.
	strict     *nl.NetlinkSocket
	looks      []farLook
	unreadable bool
	// uplinks are the interfaces of default routes, addrs what the programs at the
	// network know as the node's own.
	uplinks map[int]bool
	addrs   map[netip.Addr]bool
	// started is set once all that was there at the start is known.
	started bool
}

// watched is an interface that exists.
type watched struct {
	link  netlink.Link
	fresh bool
	// since is when it came, in nanoseconds since 1970; 0 if it was there.
	since int64
	// far are the addresses of its far end, as they were told of.
	far []netip.Addr
	// attached is nil while no programs are attached to it, role for what they are.
	attached attached
	role     role
}

// watch follows the interfaces until ctx is done, and detaches from all then.
func (d *Datapath) watch(ctx context.Context) error {
	// The thread stays in the namespace and ends with the goroutine: it is not
	// unlocked.
	if d.cfg.NetNS != "" {
		runtime.LockOSThread()
		ns, err := netns.GetFromPath(d.cfg.NetNS)
		if err != nil {
			return fmt.Errorf("open network namespace: %w", err)
		}
		defer ns.Close()
		if err := netns.Set(ns); err != nil {
			return fmt.Errorf("enter network namespace %s: %w", d.cfg.NetNS, err)
		}
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	defer h.Close()
	strict, err := strictSocket()
	if err != nil {
		return err
	}
	defer strict.Close()
	w := &watcher{Datapath: d, nl: h, strict: strict, links: map[int]*watched{}, uplinks: map[int]bool{}}
	defer w.close()
	for ctx.Err() == nil {
		if err := w.follow(ctx); err != nil {
			return err
		}
	}
	return nil
}

// follow subscribes, takes stock, and handles changes until ctx is done or the
// kernel had to drop some: then the caller starts over.
func (w *watcher) follow(ctx context.Context) error {
	socket, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK,
		unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE)
	if err != nil {
		return fmt.Errorf("subscribe to interfaces: %w", err)
	}
	// Closing ends a Receive that waits.
	stop := context.AfterFunc(ctx, func() { socket.Close() })
	defer func() {
		if stop() {
			socket.Close()
		}
	}()
	// A smaller buffer only makes starting over more likely.
	if socket.SetReceiveBufferSize(watchBuffer, true) != nil {
		_ = socket.SetReceiveBufferSize(watchBuffer, false)
	}
	if err := w.resync(); err != nil {
		return err
	}
	for {
		// None is for as long as it takes.
		next := unix.NsecToTimeval(w.lookAgain().Nanoseconds())
		if err := socket.SetReceiveTimeout(&next); err != nil {
			return fmt.Errorf("set how long to wait for interfaces: %w", err)
		}
		messages, _, err := socket.Receive()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.EAGAIN):
			continue
		case errors.Is(err, unix.ENOBUFS):
			w.log.Warn("Interfaces changed faster than they could be followed; taking stock again")
			return nil
		case err != nil:
			return fmt.Errorf("follow interfaces: %w", err)
		}
		for i := range messages {
			w.handle(&messages[i])
		}
	}
}

// resync compares what is known with what there is.
func (w *watcher) resync() error {
	all, err := w.nl.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return fmt.Errorf("list interfaces: %w", err)
	}
	w.setUplinks()
	w.setAddresses()
	there := make(map[int]bool, len(all))
	for _, l := range all {
		there[l.Attrs().Index] = true
		w.up(l)
	}
	for index := range w.links {
		// A list that was interrupted may lack some: the next event tells.
		if !there[index] && err == nil {
			w.down(index)
		}
	}
	if !w.started {
		w.started = true
		close(w.ready)
	}
	return nil
}

func (w *watcher) handle(m *syscall.NetlinkMessage) {
	switch m.Header.Type {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		l, err := netlink.LinkDeserialize(&unix.NlMsghdr{Type: m.Header.Type, Flags: m.Header.Flags}, m.Data)
		if err != nil {
			w.log.Warn("An interface's change was not understood", "error", err)
			return
		}
		w.change(m, l)
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		w.setAddresses()
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		// struct rtmsg: family, length of the destination, …
		if len(m.Data) > 1 && m.Data[1] == 0 {
			w.setUplinks()
			for _, k := range w.links {
				w.decide(k)
			}
		}
	}
}

// change handles that an interface is new, changed or gone.
func (w *watcher) change(m *syscall.NetlinkMessage, l netlink.Link) {
	// Bridges and others tell of their ports in messages of their own families,
	// which are not about the interface.
	if len(m.Data) == 0 || m.Data[0] != unix.AF_UNSPEC {
		return
	}
	if m.Header.Type == unix.RTM_NEWLINK {
		w.up(l)
		return
	}
	w.down(l.Attrs().Index)
	// When the far end of a veth moves to another namespace, that it went is
	// all that is told: the near end is an endpoint's from now on.
	if near, ok := w.links[l.Attrs().ParentIndex]; ok && l.Type() == "veth" {
		if now, err := w.nl.LinkByIndex(near.link.Attrs().Index); err == nil {
			w.up(now)
		}
	}
}

func (w *watcher) up(l netlink.Link) {
	a := l.Attrs()
	k, ok := w.links[a.Index]
	if !ok {
		k = &watched{fresh: w.started}
		if k.fresh {
			k.since = time.Now().UnixNano()
		}
		w.links[a.Index] = k
		l = w.whole(l)
		a = l.Attrs()
	}
	renamed := ok && k.link.Attrs().Name != a.Name
	k.link = l
	w.names.set(uint32(a.Index), a.Name)
	if renamed && k.role == roleEndpoint {
		w.cfg.Interfaces.LinkUp(uint32(a.Index), a.Name)
	}
	w.decide(k)
}

// whole asks again for a new veth that was told of without its other end: the
// kernel does so for the end that it makes first, and says nothing more until
// the interface is set up. It answers once both ends are made, as making them
// holds the same lock (drivers/net/veth.c: veth_newlink).
func (w *watcher) whole(l netlink.Link) netlink.Link {
	if l.Type() != "veth" || l.Attrs().ParentIndex != 0 {
		return l
	}
	now, err := w.nl.LinkByIndex(l.Attrs().Index)
	if err != nil {
		// It went meanwhile, which is told next.
		return l
	}
	return now
}

func (w *watcher) down(index int) {
	k, ok := w.links[index]
	if !ok {
		return
	}
	delete(w.links, index)
	w.names.remove(uint32(index))
	w.detach(k)
}

func (w *watcher) close() {
	for _, k := range w.links {
		w.detach(k)
	}
}
