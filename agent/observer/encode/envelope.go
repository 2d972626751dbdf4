package encode

import (
	flowpb "github.com/cilium/cilium/api/v1/flow"
)

const nanosPerSecond = 1e9

// allFields is what a message that no mask is for is written with.
const allFields = ^fields(0)

// Lost appends the GetFlowsResponse that tells of lost events at a time, in
// nanoseconds since 1970. A negative cpu is none.
func (e *Encoder) Lost(b []byte, source flowpb.LostEventSource, events uint64, cpu int, at int64) []byte {
	b = append(e.envelope(b, at), tag1(responseLost, typeBytes), 0)
	start := len(b)
	b = appendNumber(b, lostSource, uint64(source))
	b = appendNumber(b, lostEvents, events)
	if cpu >= 0 {
		b = append(b, tag1(lostCPU, typeBytes), 0)
		value := len(b)
		b = appendNumber(b, wrapperValue, uint64(cpu))
		b[value-1] = byte(len(b) - value)
	}
	b[start-1] = byte(len(b) - start)
	return b
}

// envelope appends what every GetFlowsResponse has. proto.Marshal writes it
// before the rest, which is a oneof, although its numbers are higher.
func (e *Encoder) envelope(b []byte, at int64) []byte {
	return appendTime(appendTag2(append(b, e.fixed.node...), responseTime, typeBytes), at, allFields)
}

// appendTime appends a Timestamp's length and the Timestamp.
func appendTime(b []byte, at int64, f fields) []byte {
	seconds, nanos := at/nanosPerSecond, at%nanosPerSecond
	if nanos < 0 {
		seconds, nanos = seconds-1, nanos+nanosPerSecond
	}
	b = append(b, 0)
	start := len(b)
	if f.has(timeSeconds) {
		b = appendNumber(b, timeSeconds, uint64(seconds))
	}
	if f.has(timeNanos) {
		b = appendNumber(b, timeNanos, uint64(nanos))
	}
	b[start-1] = byte(len(b) - start)
	return b
}
