package ask

import (
	"errors"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/fovea-obs/fovea/internal/rpc"
)

// The numbers of fields: of foveapb.Batch, of observer.GetFlowsResponse and its like,
// and of a Timestamp.
const (
	batchResponses = 1
	batchSizes     = 2
	batchTimes     = 3
	batchWatermark = 4

	responseEvent = 1
	responseTime  = 1001

	timeSeconds = 1
	timeNanos   = 2
)

// readBatch reads a foveapb.Batch, of which the items are parts.
func readBatch(p rpc.Piece) (out Batch, err error) {
	var responses rpc.Piece
	var sizes, times []byte
	whole := p.Bytes()
	for b := whole; len(b) > 0; {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return out, protowire.ParseError(n)
		}
		b = b[n:]
		switch {
		case number == batchWatermark && kind == protowire.VarintType:
			v, n := protowire.ConsumeVarint(b)
			if n < 0 {
				return out, protowire.ParseError(n)
			}
			out.Mark, b = int64(v), b[n:]
			continue
		case kind != protowire.BytesType:
			n := protowire.ConsumeFieldValue(number, kind, b)
			if n < 0 {
				return out, protowire.ParseError(n)
			}
			b = b[n:]
			continue
		}
		v, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return out, protowire.ParseError(n)
		}
		b = b[n:]
		switch number {
		case batchResponses:
			end := len(whole) - len(b)
			responses = p.Part(end-len(v), end, true)
		case batchSizes:
			sizes = v
		case batchTimes:
			times = v
		}
	}
	if out.Items, err = items(responses, sizes, times); len(out.Items) == 0 {
		p.Free()
	}
	return out, err
}

func items(responses rpc.Piece, sizes, times []byte) ([]Item, error) {
	// A size is of a byte or more.
	list := make([]Item, 0, len(sizes)/2)
	at, begin := int64(0), 0
	for len(sizes) > 0 {
		size, n := protowire.ConsumeVarint(sizes)
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		sizes = sizes[n:]
		delta, n := protowire.ConsumeVarint(times)
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		times = times[n:]
		if size > uint64(responses.Len()-begin) {
			return nil, errors.New("a response is longer than what is left")
		}
		at += protowire.DecodeZigZag(delta)
		end := begin + int(size)
		list = append(list, Item{Time: at, Message: responses.Part(begin, end, len(sizes) == 0)})
		begin = end
	}
	if begin < responses.Len() || len(times) > 0 {
		return nil, errors.New("more responses or times than sizes")
	}
	return list, nil
}

// timeOf finds the time of a response, 0 if it has none, and whether it tells of a flow
// or an event.
func timeOf(b []byte) (at int64, happened bool, err error) {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return 0, false, protowire.ParseError(n)
		}
		b = b[n:]
		if number == responseTime && kind == protowire.BytesType {
			v, n := protowire.ConsumeBytes(b)
			if n < 0 {
				return 0, false, protowire.ParseError(n)
			}
			if at, err = readTime(v); err != nil {
				return 0, false, err
			}
			b = b[n:]
			continue
		}
		happened = happened || number == responseEvent
		if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
			return 0, false, protowire.ParseError(n)
		}
		b = b[n:]
	}
	return at, happened, nil
}

// Happened tells whether a response, as it goes over the wire, tells of a flow or an event.
func Happened(response []byte) bool {
	for b := response; len(b) > 0; {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return false
		}
		if number == responseEvent {
			return true
		}
		b = b[n:]
		if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
			return false
		}
		b = b[n:]
	}
	return false
}

func readTime(b []byte) (int64, error) {
	var seconds, nanos int64
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return 0, protowire.ParseError(n)
		}
		b = b[n:]
		if kind != protowire.VarintType {
			if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
				return 0, protowire.ParseError(n)
			}
			b = b[n:]
			continue
		}
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return 0, protowire.ParseError(n)
		}
		b = b[n:]
		switch number {
		case timeSeconds:
			seconds = int64(v)
		case timeNanos:
			nanos = int64(v)
		}
	}
	return time.Unix(seconds, nanos).UnixNano(), nil
}
