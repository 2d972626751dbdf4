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

// decide attaches to an interface that leads to an endpoint, and detaches from
// one that does not.
func (w *watcher) decide(k *watched) {
	want := w.leadsToEndpoint(k.link)
	switch {
	case want && k.attached == nil:
		w.attachTo(k)
		w.lookAtFar(k)
	case want:
		// What was set up may be its addresses.
		w.setFar(k)
	case !want && k.attached != nil:
		w.detach(k)
	}
}

// leadsToEndpoint is the rule: a veth whose other end is in another network
// namespace, unless it is the way out of this one. Patterns take its place.
func (w *watcher) leadsToEndpoint(l netlink.Link) bool {
	a := l.Attrs()
	if matches(w.cfg.Exclude, a.Name) {
		return false
	}
	if len(w.cfg.Include) > 0 {
		return matches(w.cfg.Include, a.Name)
	}
	return l.Type() == "veth" && a.NetNsID >= 0 && !w.uplinks[a.Index]
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

// attachTo attaches the programs. An interface to which that fails costs only
// itself; it is tried again when it changes.
func (w *watcher) attachTo(k *watched) {
	a := k.link.Attrs()
	index := uint32(a.Index)
	if w.from == nil {
		return
	}
	if !k.fresh {
		w.removeLeftovers(k.link)
	}
	w.cfg.Interfaces.LinkUp(index, a.Name)
	info := bpf.FoveaLink{AttachedAt: uint64(monotonic())}
	if k.fresh {
		info.Fresh = 1
	}
	if err := w.maps.Maps[bpf.FoveaMapLinks].Put(index, info); err != nil {
		w.log.Warn("Interface not noted", "interface", a.Name, "error", err)
	}
	done, err := w.attach(w.nl, a.Index)
	if err != nil {
		w.forget(index)
		if !errors.Is(err, unix.ENODEV) {
			w.log.Warn("Interface not attached", "interface", a.Name, "error", err)
		}
		return
	}
	k.attached = done
	w.log.Debug("Attached", "interface", a.Name, "index", index, "by", w.cfg.Attach)
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
	k.attached, k.far = nil, nil
	w.forget(uint32(k.link.Attrs().Index))
}

// forget undoes what attachTo told of the interface.
func (w *watcher) forget(index uint32) {
	// It may not be there.
	_ = w.maps.Maps[bpf.FoveaMapLinks].Delete(index)
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
}
