package datapath

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Attach is a way to attach programs to an interface.
type Attach string

const (
	// AttachAuto is TCX where the kernel has it (6.6), clsact otherwise.
	AttachAuto Attach = "auto"
	// AttachTCX is by links, which the kernel removes with the process.
	AttachTCX Attach = "tcx"
	// AttachClsact is by filters of a clsact qdisc. The agent removes its own
	// when it stops, and those of a killed one when it starts.
	AttachClsact Attach = "clsact"
)

// filterPrefix starts the names of the agent's own clsact filters.
const filterPrefix = "fovea_"

const (
	// filterHandle tells our filters from others of the same priority.
	filterHandle = 0xf07ea
	// maxPriority is the last priority tried: 1 comes before all others, and
	// cannot be had where a filter of another kind has it.
	maxPriority = 8
)

// bestAttach returns AttachTCX if the kernel has it. There is no interface 0, so
// nothing is attached in finding out.
func (d *Datapath) bestAttach() Attach {
	if d.endpoint.in == nil {
		return AttachTCX
	}
	_, err := link.AttachTCX(link.TCXOptions{Program: d.endpoint.in, Attach: ebpf.AttachTCXIngress})
	if errors.Is(err, ebpf.ErrNotSupported) {
		return AttachClsact
	}
	return AttachTCX
}

// hooks are the two places at an interface, as clsact and as TCX name them.
func (d *Datapath) hooks(r role) []hook {
	programs := d.programs(r)
	return []hook{
		{"from_" + string(r), netlink.HANDLE_MIN_INGRESS, ebpf.AttachTCXIngress, programs.in},
		{"to_" + string(r), netlink.HANDLE_MIN_EGRESS, ebpf.AttachTCXEgress, programs.out},
	}
}

// programs are those for an interface of a role; none if the kernel does not take
// them.
func (d *Datapath) programs(r role) pair {
	if r == roleNetwork {
		return d.network
	}
	return d.endpoint
}

type hook struct {
	name    string
	parent  uint32
	attach  ebpf.AttachType
	program *ebpf.Program
}

// attached undoes an attach.
type attached []func() error

// Close detaches both programs. That the interface is gone is no error.
func (a attached) Close() error {
	var errs []error
	for _, undo := range a {
		if err := undo(); err != nil && !errors.Is(err, unix.ENODEV) && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EINVAL) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// attach puts both programs at the interface. It must be called in the
// interface's network namespace.
func (d *Datapath) attach(nl *netlink.Handle, index int, r role) (attached, error) {
	var done attached
	for _, h := range d.hooks(r) {
		var undo func() error
		var err error
		if d.cfg.Attach == AttachClsact {
			undo, err = attachFilter(nl, index, h)
		} else {
			undo, err = attachTCX(index, h)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("attach %s: %w", h.name, err), done.Close())
		}
		done = append(done, undo)
	}
	return done, nil
}

// attachTCX attaches ahead of other programs, which may end a packet's way
// through the list.
func attachTCX(index int, h hook) (func() error, error) {
	l, err := link.AttachTCX(link.TCXOptions{
		Interface: index, Program: h.program, Attach: h.attach, Anchor: link.Head(),
	})
	if err != nil {
		return nil, err
	}
	return l.Close, nil
}

func attachFilter(nl *netlink.Handle, index int, h hook) (func() error, error) {
	qdisc := &netlink.GenericQdisc{
		QdiscAttrs: netlink.QdiscAttrs{
			LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
		},
		QdiscType: "clsact",
	}
	if err := nl.QdiscAdd(qdisc); err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, fmt.Errorf("add a clsact qdisc: %w", err)
	}
	var err error
	for priority := uint16(1); priority <= maxPriority; priority++ {
		filter := &netlink.BpfFilter{
			FilterAttrs: netlink.FilterAttrs{
				LinkIndex: index, Parent: h.parent, Handle: filterHandle, Protocol: unix.ETH_P_ALL, Priority: priority,
			},
			Fd: h.program.FD(), Name: filterPrefix + h.name, DirectAction: true,
		}
		if err = nl.FilterAdd(filter); err == nil {
			return func() error { return nl.FilterDel(filter) }, nil
		}
		if errors.Is(err, unix.ENODEV) {
			break
		}
	}
	return nil, fmt.Errorf("add a filter: %w", err)
}

// removeFilters removes the agent's own filters from an interface: those that a
// killed one left.
func removeFilters(nl *netlink.Handle, l netlink.Link) (int, error) {
	var removed int
	var errs []error
	for _, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
		filters, err := nl.FilterList(l, parent)
		if err != nil {
			// Without a clsact qdisc there are none.
			continue
		}
		for _, f := range filters {
			bpf, ok := f.(*netlink.BpfFilter)
			if !ok || !strings.HasPrefix(bpf.Name, filterPrefix) {
				continue
			}
			if err := nl.FilterDel(bpf); err != nil {
				errs = append(errs, fmt.Errorf("remove filter %s of %s: %w", bpf.Name, l.Attrs().Name, err))
				continue
			}
			removed++
		}
	}
	return removed, errors.Join(errs...)
}
