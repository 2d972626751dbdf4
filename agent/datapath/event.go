package datapath

import (
	"unsafe"

	"github.com/fovea-obs/fovea/bpf"
)

const eventSize = int(unsafe.Sizeof(bpf.FoveaEvent{}))

// decode returns the event that lies in sample, which it shares memory with, or
// nil if it is none.
func decode(sample []byte) *bpf.FoveaEvent {
	if len(sample) < eventSize || uintptr(unsafe.Pointer(&sample[0]))%unsafe.Alignof(bpf.FoveaEvent{}) != 0 {
		return nil
	}
	e := (*bpf.FoveaEvent)(unsafe.Pointer(&sample[0]))
	switch bpf.FoveaEventKind(e.Kind) {
	case bpf.FoveaEventKindEVENT_TRACE, bpf.FoveaEventKindEVENT_DROP:
	default:
		return nil
	}
	if bpf.FoveaReply(e.Reply) > bpf.FoveaReplyREPLY_YES {
		return nil
	}
	return e
}
