package oracle

import (
	"math"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// request makes one up.
func (a *asker) request() *observerpb.GetFlowsRequest {
	req := &observerpb.GetFlowsRequest{
		Number: oneOf(a.Rand, []uint64{0, 1, 2, 3, 10, 100}),
		First:  chance(a.Rand, 0.25),
		Follow: chance(a.Rand, 0.35),
	}
	if chance(a.Rand, 0.1) {
		req.Number = oneOf(a.Rand, []uint64{1000, math.MaxUint64})
	}
	if req.GetFirst() && chance(a.Rand, 0.9) {
		req.Follow = false
	}
	if chance(a.Rand, 0.35) {
		req.Since = a.time()
	}
	if chance(a.Rand, 0.35) {
		req.Until = a.time()
	}
	a.near = a.about()
	a.wrong = 0.01
	if chance(a.Rand, 0.6) {
		req.Whitelist, req.Blacklist = a.filters(2), a.filters(1)
	}
	if chance(a.Rand, 0.1) {
		req.Whitelist = append(req.GetWhitelist(), a.only("uuid"))
	}
	if paths := a.paths(); len(paths) > 0 {
		req.FieldMask = &fieldmaskpb.FieldMask{Paths: paths}
	}
	return req
}

// about are flows for filters to be about: some that there are, or one that is
// empty.
func (a *asker) about() []*flowpb.Flow {
	out := []*flowpb.Flow{{IP: &flowpb.IP{Source: "10.0.0.1", Destination: "10.0.0.2"}}}
	for range min(10, len(a.sent)) {
		if f := oneOf(a.Rand, a.sent).GetFlow(); f != nil {
			out = append(out, f)
		}
	}
	return out
}

// time makes one that a record has, or nearly, or one that is far off or not
// valid.
func (a *asker) time() *timestamppb.Timestamp {
	switch {
	case chance(a.Rand, 0.02):
		return oneOf(a.Rand, []*timestamppb.Timestamp{
			{Seconds: 1_800_000_000, Nanos: -1}, {Seconds: 1_800_000_000, Nanos: 1_000_000_000},
			{Seconds: 253402300800}, {Seconds: -62135596801}, {Seconds: math.MaxInt64},
		})
	case len(a.sent) == 0, chance(a.Rand, 0.1):
		return oneOf(a.Rand, []*timestamppb.Timestamp{
			{}, {Seconds: -62135596800}, {Seconds: 253402300799, Nanos: 999_999_999}, {Seconds: 9_300_000_000},
			{Seconds: 1_799_999_999}, {Seconds: -9_300_000_000},
		})
	}
	// Mostly near the end, so that not too much is to be sent.
	near := oneOf(a.Rand, a.sent[max(0, len(a.sent)-oneOf(a.Rand, []int{1, 50, 50, 500, math.MaxInt})):])
	at := near.GetTime().AsTime().Add(oneOf(a.Rand, []time.Duration{0, 0, -1, 1, time.Second, 5 * time.Second}))
	return timestamppb.New(at)
}
