package e2e

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/fovea-obs/fovea/hack/lab"
)

// foreign is a filter of somebody else's at an interface, which counts packets
// and lets them pass on.
type foreign struct {
	counter *ebpf.Map
	program *ebpf.Program
	filter  *netlink.BpfFilter
}

// addForeign adds a filter for what comes from the pod.
func addForeign(t *testing.T, pod *lab.Pod, priority uint16, handle uint32) *foreign {
	t.Helper()
	f := &foreign{}
	var err error
	f.counter, err = ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	check(t, err)
	closeLater(t, f.counter.Close)
	f.program, err = ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, License: "GPL", Instructions: counting(f.counter),
	})
	check(t, err)
	closeLater(t, f.program.Close)
	f.filter = &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: pod.HostLink, Parent: netlink.HANDLE_MIN_INGRESS, Handle: handle, Protocol: unix.ETH_P_ALL,
			Priority: priority,
		},
		Fd: f.program.FD(), Name: "foreign", DirectAction: true,
	}
	h, err := pod.Node.NS.Netlink()
	check(t, err)
	defer h.Close()
	err = h.QdiscAdd(&netlink.GenericQdisc{
		QdiscAttrs: netlink.QdiscAttrs{
			LinkIndex: pod.HostLink, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
		},
		QdiscType: "clsact",
	})
	if !errors.Is(err, unix.EEXIST) {
		check(t, err)
	}
	check(t, h.FilterAdd(f.filter))
	return f
}

// counting is a program that adds one to a map's only value.
func counting(m *ebpf.Map) asm.Instructions {
	return asm.Instructions{
		asm.StoreImm(asm.RFP, -4, 0, asm.Word),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.LoadMapPtr(asm.R1, m.FD()),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "out"),
		asm.Mov.Imm(asm.R1, 1),
		asm.StoreXAdd(asm.R0, asm.R1, asm.DWord),
		asm.Mov.Imm(asm.R0, int32(netlink.TC_ACT_UNSPEC)).WithSymbol("out"),
		asm.Return(),
	}
}

// packets is how many it has counted.
func (f *foreign) packets(t *testing.T) (n uint64) {
	t.Helper()
	check(t, f.counter.Lookup(uint32(0), &n))
	return n
}

// filters lists the filters at a pod's interface, as "ingress foreign 5:1".
func filters(t *testing.T, pod *lab.Pod) []string {
	t.Helper()
	h, err := pod.Node.NS.Netlink()
	check(t, err)
	defer h.Close()
	link, err := h.LinkByIndex(pod.HostLink)
	check(t, err)
	var all []string
	for way, parent := range map[string]uint32{"ingress": netlink.HANDLE_MIN_INGRESS, "egress": netlink.HANDLE_MIN_EGRESS} {
		list, err := h.FilterList(link, parent)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			continue // there is no such qdisc
		}
		check(t, err)
		for _, f := range list {
			name := f.Type()
			if b, ok := f.(*netlink.BpfFilter); ok {
				name = b.Name
			}
			all = append(all, fmt.Sprintf("%s %s %d:%d", way, name, f.Attrs().Priority, f.Attrs().Handle))
		}
	}
	slices.Sort(all)
	return all
}

// ours picks the filters of an agent.
func ours(all []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(f string) bool { return !strings.Contains(f, " fovea_") })
}

// addU32 adds a filter of another kind for what goes to the pod, which matches
// nothing.
func addU32(t *testing.T, pod *lab.Pod, priority uint16) {
	t.Helper()
	h, err := pod.Node.NS.Netlink()
	check(t, err)
	defer h.Close()
	check(t, h.FilterAdd(&netlink.U32{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: pod.HostLink, Parent: netlink.HANDLE_MIN_EGRESS, Protocol: unix.ETH_P_ALL, Priority: priority,
		},
		ClassId: netlink.MakeHandle(1, 1),
		Sel:     &netlink.TcU32Sel{Nkeys: 1, Keys: []netlink.TcU32Key{{Mask: 0xffffffff, Val: 0xdeadbeef}}},
	}))
}
