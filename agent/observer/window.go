package observer

import (
	"math"
	"strconv"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/fovea-obs/fovea/agent/event"
	"github.com/fovea-obs/fovea/agent/observer/lookup"
)

// request is what all requests have that ask for something over time.
type request interface {
	GetNumber() uint64
	GetFirst() bool
	GetFollow() bool
	GetSince() *timestamppb.Timestamp
	GetUntil() *timestamppb.Timestamp
}

// check fails if the fields of a request do not go together.
func check(r request) error {
	if r.GetFirst() && r.GetFollow() {
		return status.Error(codes.InvalidArgument,
			"first: not valid with follow: the first are the oldest, and those to follow the newest")
	}
	if err := checkTime("since", r.GetSince()); err != nil {
		return err
	}
	return checkTime("until", r.GetUntil())
}

func checkTime(field string, t *timestamppb.Timestamp) error {
	if t == nil || t.IsValid() {
		return nil
	}
	return lookup.Invalid(field, strconv.FormatInt(t.GetSeconds(), 10)+" s", "a time in the years 1 to 9999")
}

// window is which events of a log a request asks for: those from next on and
// below end, of these times, and no more than left.
type window struct {
	next, end    uint64
	since, until int64
	left         uint64
}

// windowOf reads a request that is valid.
func windowOf(r request, log *event.Log) window {
	oldest, now := log.Bounds()
	w := window{since: math.MinInt64, until: math.MaxInt64, left: math.MaxUint64}
	if r.GetUntil() != nil {
		w.until = nanoseconds(r.GetUntil())
		now = min(now, log.Since(saturatingNext(w.until)))
	}
	number := r.GetNumber()
	if w.end = now; r.GetFollow() {
		w.end = forever
	} else if number > 0 {
		w.left = number
	}
	switch {
	case r.GetSince() != nil:
		w.since = nanoseconds(r.GetSince())
		w.next = log.Since(w.since)
	case r.GetFirst(), number == 0 && !r.GetFollow():
		w.next = oldest
	default:
		w.next = max(oldest, now-min(now, number))
	}
	return w
}
