package lookup

import (
	"strconv"

	flowpb "github.com/cilium/cilium/api/v1/flow"

	"github.com/fovea-obs/fovea/agent/fate"
	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/agent/reason"
)

// Event types and sub-types, as in Cilium's pkg/monitor/api.
const (
	EventDrop   = 1
	EventTrace  = 4
	EventPolicy = 5
	EventAccess = 129

	traceToEndpoint   = 0
	traceFromEndpoint = 5
	traceFromNetwork  = 10
	traceToNetwork    = 11
)

// otherDrop is the sub-type of drop events whose reason is none of Hubble's.
// Clients print a text for most lower numbers (0 is "Success"), and none for
// this one.
const otherDrop = 255

// DropReason is Hubble's reason for the drop of a record: unknown for None, and where
// none says the same as the kernel's. The kernel never says that a policy denied a
// packet, as NETFILTER_DROP is whatever a rule of netfilter dropped: it is told where
// the policies themselves explain the drop.
func (t *Tables) DropReason(number uint32) flowpb.DropReason {
	if number == fate.None {
		return flowpb.DropReason_DROP_REASON_UNKNOWN
	}
	f := t.Fates.At(number)
	switch {
	case f.Judged():
		return flowpb.DropReason_POLICY_DENIED
	case f.TableFull:
		return flowpb.DropReason_CT_MAP_INSERTION_FAILED
	}
	return flowpb.DropReason(reason.At(t.ReasonName(f.Reason), t.Location(f)).Hubble)
}

// EventType is the type and sub-type of a record's event, in Cilium's numbers.
func (t *Tables) EventType(kind history.Kind, flags history.Flags, number uint32) (event, sub int32) {
	switch {
	case kind == history.KindDrop:
		if known := t.DropReason(number); known != 0 {
			return EventDrop, int32(known)
		}
		return EventDrop, otherDrop
	case kind == history.KindPolicy:
		return EventPolicy, 0
	case flags&(history.FlagNetwork|history.FlagFromEndpoint) == history.FlagNetwork:
		return EventTrace, traceFromNetwork
	case flags&history.FlagNetwork != 0:
		return EventTrace, traceToNetwork
	case flags&history.FlagFromEndpoint != 0:
		return EventTrace, traceFromEndpoint
	}
	return EventTrace, traceToEndpoint
}

// ObservationPoint is where the packets of a record that is no drop were seen.
func ObservationPoint(flags history.Flags) flowpb.TraceObservationPoint {
	switch {
	case flags&(history.FlagNetwork|history.FlagFromEndpoint) == history.FlagNetwork:
		return flowpb.TraceObservationPoint_FROM_NETWORK
	case flags&history.FlagNetwork != 0:
		return flowpb.TraceObservationPoint_TO_NETWORK
	case flags&history.FlagFromEndpoint != 0:
		return flowpb.TraceObservationPoint_FROM_ENDPOINT
	}
	return flowpb.TraceObservationPoint_TO_ENDPOINT
}

// KernelReason is the kernel's name of why a packet was dropped, or its number.
// Kernels before 5.17 give none.
func (t *Tables) KernelReason(d fate.Fate) string {
	if d.Reason == 0 {
		return "no reason given"
	}
	if name := t.ReasonName(d.Reason); name != "" {
		return name
	}
	return "reason " + strconv.FormatUint(uint64(d.Reason), 10)
}

// Location is the kernel function that dropped a packet, or "" if that is not
// known. Its address is not told: clients could learn from it where the kernel
// lies in memory.
func (t *Tables) Location(d fate.Fate) string {
	if d.Location == 0 {
		return ""
	}
	return t.Symbol(d.Location)
}
