package datapath

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// notLost are the kernel's drop reasons (include/net/dropreason-core.h) that
// are no loss to anyone, without their prefix SKB_DROP_REASON_.
var notLost = [...]string{
	// Not freed as dropped.
	"SKB_NOT_DROPPED_YET", "SKB_CONSUMED",
	// Kernels that have reasons use this one for what they have not sorted
	// yet: most of it is no loss.
	"NOT_SPECIFIED",
	// The data was there already.
	"TCP_OLD_DATA", "TCP_OFOMERGE", "TCP_OFO_DROP", "TCP_OLD_ACK", "TCP_TOO_OLD_ACK", "TCP_OLD_SEQUENCE", "DUP_FRAG",
	// What was left when a socket was closed, or a device taken down.
	"TCP_CLOSE", "TCP_RESET", "SOCKET_CLOSE", "QUEUE_PURGE",
	// Not meant for this host, or a copy for a capture.
	"OTHERHOST", "PACKET_SOCK_ERROR", "TAP_FILTER",
}

const reasonPrefix = "SKB_DROP_REASON_"

// reasons are the drop reasons of the running kernel.
type reasons struct {
	names map[uint32]string
}

// loadReasons reads enum skb_drop_reason from the kernel's types. A kernel
// before 5.17 has none: then there are no names.
func loadReasons(types *btf.Cache) (reasons, error) {
	r := reasons{names: map[uint32]string{}}
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
	return r, nil
}

// name returns the reason's name without its prefix, or "" if the kernel has no
// such reason.
func (r reasons) name(reason uint32) string { return r.names[reason] }

// number returns the number of a reason, or 0 if the kernel has no such reason.
func (r reasons) number(name string) uint32 {
	for number, n := range r.names {
		if n == name {
			return number
		}
	}
	return 0
}

// ignored marks the reasons that are no loss.
func (r reasons) ignored() [256]uint8 {
	var set [256]uint8
	for number, name := range r.names {
		for _, n := range notLost {
			if n == name && number < uint32(len(set)) {
				set[number] = 1
			}
		}
	}
	return set
}
