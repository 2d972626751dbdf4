package datapath

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/cilium/ebpf/btf"

	"github.com/fovea-obs/fovea/agent/reason"
)

const (
	reasonPrefix = "SKB_DROP_REASON_"
	// listenOverflow is told of full backlogs, also where the kernel has no number
	// for it (before 6.15): then it is ownListenOverflow, the last before those of
	// subsystems (include/net/dropreason.h).
	listenOverflow    = "TCP_LISTEN_OVERFLOW"
	ownListenOverflow = firstOfSubsystem - 1
)

// firstOfSubsystem is the first number that is not enum skb_drop_reason's, but that of a
// subsystem (include/net/dropreason.h: SKB_DROP_REASON_SUBSYS_SHIFT).
const firstOfSubsystem = 1 << 16

// reasons are the drop reasons of the running kernel.
type reasons struct {
	names map[uint32]string
	// subsystems has the names of subsystems' reasons, once one was asked for.
	subsystems *subsystems
}

// subsystems are the reasons of parts of the kernel that have their own.
type subsystems struct {
	// load returns the types of a module, or those of the kernel if it has none.
	load func(module string) (*btf.Spec, error)

	mu    sync.Mutex
	names map[uint32]string // "" for those that nothing names
}

// name returns the reason's name as the subsystem calls it, or "".
func (s *subsystems) name(reason uint32) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name, ok := s.names[reason]; ok {
		return name
	}
	for module, name := range map[string]string{"mac80211": "mac80211_drop_reason", "openvswitch": "ovs_drop_reason"} {
		var enum *btf.Enum
		if spec, err := s.load(module); err != nil || spec.TypeByName(name, &enum) != nil {
			// The kernel is without it: no reason is its.
			continue
		}
		for _, v := range enum.Values {
			s.names[uint32(v.Value)] = v.Name
		}
	}
	if _, ok := s.names[reason]; !ok {
		s.names[reason] = ""
	}
	return s.names[reason]
}

func loadModule(module string) (*btf.Spec, error) {
	if spec, err := btf.LoadKernelModuleSpec(module); err == nil {
		return spec, nil
	}
	return btf.LoadKernelSpec()
}

// loadReasons reads enum skb_drop_reason from the kernel's types. A kernel
// before 5.17 has none: then there are no names.
func loadReasons(types *btf.Cache) (reasons, error) {
	r := reasons{names: map[uint32]string{}, subsystems: &subsystems{load: loadModule, names: map[uint32]string{}}}
	spec, err := types.Kernel()
	if err != nil {
		return r, fmt.Errorf("load kernel types: %w", err)
	}
	var enum *btf.Enum
	if err := spec.TypeByName("skb_drop_reason", &enum); errors.Is(err, btf.ErrNotFound) {
		return r, nil
	} else if err != nil {
		return r, fmt.Errorf("find enum skb_drop_reason: %w", err)
	}
	for _, v := range enum.Values {
		r.names[uint32(v.Value)] = strings.TrimPrefix(v.Name, reasonPrefix)
	}
	if r.number(listenOverflow) == 0 {
		r.names[ownListenOverflow] = listenOverflow
	}
	return r, nil
}

// name returns the reason's name without its prefix, or "" if the kernel has no
// such reason.
func (r reasons) name(reason uint32) string {
	if reason >= firstOfSubsystem {
		return r.subsystems.name(reason)
	}
	return r.names[reason]
}

// number returns the number of a reason, or 0 if the kernel has no such reason.
func (r reasons) number(name string) uint32 {
	for number, n := range r.names {
		if n == name {
			return number
		}
	}
	return 0
}

// ignored marks the reasons that are not told: those that are no loss, but for what
// the configuration says otherwise. It names a reason that nobody knows.
func (r reasons) ignored(tell, ignore []string) (set [256]uint8, err error) {
	for _, name := range slices.Concat(tell, ignore) {
		if _, known := reason.Of(name); !known && r.number(name) == 0 {
			return set, fmt.Errorf("drop-reasons: %q is not valid: the name of one of the kernel's drop reasons, as NETFILTER_DROP, expected", name)
		}
	}
	for number, name := range r.names {
		if number >= uint32(len(set)) {
			continue
		}
		known, _ := reason.Of(name)
		ignored := known.NoLoss != "" && !slices.Contains(tell, name) || slices.Contains(ignore, name)
		if ignored {
			set[number] = 1
		}
	}
	return set, nil
}
