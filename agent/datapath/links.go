package datapath

import (
	"errors"
	"net/netip"
	"path"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/fovea-obs/fovea/bpf"
)

// role is what an interface is to the node.
type role string

const (
	roleNone role = ""
	// roleEndpoint leads to an endpoint of the node.
	roleEndpoint role = "endpoint"
	// roleNetwork leads to other nodes and beyond.
	roleNetwork role = "network"
)

// decide attaches to an interface what its role asks for, and detaches from one
// that has none any more.
func (w *watcher) decide(k *watched) {
	want := w.roleOf(k.link)
	if k.attached != nil && k.role != want {
		w.detach(k)
	}
	switch {
	case want == roleNone:
	case k.attached == nil:
		w.attachTo(k, want)
		if k.role == roleEndpoint {
			w.lookAtFar(k)
		}
	default:
		// What was set up may be its addresses.
		w.setFar(k)
	}
}

// roleOf is the rule. A veth whose other end is in another network namespace leads
// to an endpoint, unless it is the way out of this one; that is the network, and so
// is an overlay's device. Patterns take the place of what leads to an endpoint, and
// have nothing done with what they exclude.
func (w *watcher) roleOf(l netlink.Link) role {
	a := l.Attrs()
	switch {
	case matches(w.cfg.Exclude, a.Name):
		return roleNone
	case matches(w.cfg.Include, a.Name):
		return roleEndpoint
	case w.uplinks[a.Index] || l.Type() == "vxlan" || l.Type() == "geneve":
		// The programs read frames: devices of IP alone have none.
		if a.EncapType == "ether" {
			return roleNetwork
		}
		return roleNone
	case len(w.cfg.Include) == 0 && l.Type() == "veth" && a.NetNsID >= 0:
		return roleEndpoint
	}
	return roleNone
}

// matches tells whether one of the patterns, which are valid, matches.
func matches(patterns []string, name string) bool {
	for _, p := range patterns {
		if ok, _ := path.Match(p, name); ok {
			return true
		}
	}
	return false
}

// attachTo attaches the programs of a role. An interface to which that fails costs
// only itself; it is tried again when it changes.
func (w *watcher) attachTo(k *watched, r role) {
	a := k.link.Attrs()
	if w.programs(r).in == nil {
		return
	}
	if !k.fresh {
		w.removeLeftovers(k.link)
	}
	w.note(k, r)
	done, err := w.attach(w.nl, a.Index, r)
	if err != nil {
		w.forget(uint32(a.Index), r)
		if !errors.Is(err, unix.ENODEV) {
			w.log.Warn("Interface not attached", "interface", a.Name, "error", err)
		}
		return
	}
	k.attached, k.role = done, r
	w.log.Debug("Attached", "interface", a.Name, "index", a.Index, "role", r, "by", w.cfg.Attach)
}

// note tells of an interface before the first event from there.
func (w *watcher) note(k *watched, r role) {
	a := k.link.Attrs()
	index := uint32(a.Index)
	info := bpf.FoveaLink{AttachedAt: uint64(monotonic())}
	if r == roleNetwork {
		info.Network = 1
	} else {
		w.cfg.Interfaces.LinkUp(index, a.Name)
	}
	if k.fresh {
		info.Fresh = 1
	}
	if err := w.maps.Maps[bpf.FoveaMapLinks].Put(index, info); err != nil {
		w.log.Warn("Interface not noted", "interface", a.Name, "error", err)
	}
}

// removeLeftovers removes what a killed agent left at an interface.
func (w *watcher) removeLeftovers(l netlink.Link) {
	removed, err := removeFilters(w.nl, l)
	if err != nil {
		w.log.Warn("Filters of an earlier run remain", "interface", l.Attrs().Name, "error", err)
	}
	if removed > 0 {
		w.log.Info("Removed filters of an earlier run", "interface", l.Attrs().Name, "filters", removed)
	}
}

func (w *watcher) detach(k *watched) {
	if k.attached == nil {
		return
	}
	if err := k.attached.Close(); err != nil {
		w.log.Warn("Interface not detached", "interface", k.link.Attrs().Name, "error", err)
	}
	w.forget(uint32(k.link.Attrs().Index), k.role)
	k.attached, k.role, k.far = nil, roleNone, nil
}

// forget undoes note.
func (w *watcher) forget(index uint32, r role) {
	// It may not be there.
	_ = w.maps.Maps[bpf.FoveaMapLinks].Delete(index)
	if r != roleEndpoint {
		return
	}
	w.cfg.Interfaces.SetFarAddresses(index, nil, time.Now().UnixNano())
	w.cfg.Interfaces.LinkDown(index)
}

// setUplinks notes the interfaces of default routes. What cannot be listed stays
// as it was.
func (w *watcher) setUplinks() {
	uplinks := map[int]bool{}
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		routes, err := w.nl.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_MAIN, Dst: nil},
			netlink.RT_FILTER_TABLE|netlink.RT_FILTER_DST)
		if err != nil {
			w.log.Warn("Default routes not listed", "error", err)
			return
		}
		for _, r := range routes {
			uplinks[r.LinkIndex] = true
			for _, hop := range r.MultiPath {
				uplinks[hop.LinkIndex] = true
			}
		}
	}
	w.uplinks = uplinks
}

// setAddresses tells of the addresses that the node itself has.
func (w *watcher) setAddresses() {
	list, err := w.nl.AddrList(nil, unix.AF_UNSPEC)
	if err != nil {
		w.log.Warn("Addresses of the node not listed", "error", err)
		return
	}
	addrs := make([]netip.Addr, 0, len(list))
	for _, a := range list {
		if ip, ok := netip.AddrFromSlice(a.IP); ok {
			addrs = append(addrs, ip.Unmap())
		}
	}
	w.cfg.Interfaces.SetHostAddresses(addrs)
	w.setNodeAddresses(addrs)
}

// setNodeAddresses tells the programs at the network. What goes between neighbours
// on a link alone, as to find each other, is of no interest there.
func (w *watcher) setNodeAddresses(addrs []netip.Addr) {
	now := make(map[netip.Addr]bool, len(addrs))
	for _, a := range addrs {
		if a.IsGlobalUnicast() {
			now[a] = true
		}
	}
	m := w.maps.Maps[bpf.FoveaMapNodeAddresses]
	for a := range now {
		if !w.addrs[a] {
			if err := m.Put(a.As16(), uint8(1)); err != nil {
				w.log.Warn("An address of the node is not noted", "address", a, "error", err)
			}
		}
	}
	for a := range w.addrs {
		if !now[a] {
			// It was put there.
			_ = m.Delete(a.As16())
		}
	}
	w.addrs = now
}
