package observer

import (
	"context"
	"errors"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	relaypb "github.com/cilium/cilium/api/v1/relay"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/fovea-obs/fovea/internal/rpc"
	"github.com/fovea-obs/fovea/relay/ask"
	"github.com/fovea-obs/fovea/relay/metrics"
	"github.com/fovea-obs/fovea/relay/peers"
)

const (
	// againFirst is how long after it was given up a node is asked again by a request
	// that follows, at first.
	againFirst = time.Second
	// freeEvery is how much is taken of a source before it is told, in bytes.
	freeEvery = maxTold / 4
	// oldestWithin is how long a node has to say what is the oldest that it knows.
	oldestWithin = 2 * time.Second
)

// state is what became of a node, and why.
type state struct {
	is  relaypb.NodeState
	why string
}

// source is a node that is asked for a call.
type source struct {
	call   *call
	peer   *peers.Peer
	number int
	cancel context.CancelFunc

	// gone says that the node is, over that it has told all, taken is how much of held
	// is not, and class how the node tells: these are the call's.
	gone, over bool
	taken      amount
	class      metrics.Class

	// told is what is not taken yet, listed tells whether the inbox knows, held is how
	// much there is in all, and left says that no more is taken: these are the inbox's.
	told   []told
	listed bool
	held   amount
	left   bool

	// last is the time of the newest flow or event that it told, 0 if there is none, and
	// now what was told of it last.
	last int64
	now  state
}

// run asks until ctx ends or all was told. A request that follows asks again.
func (s *source) run(ctx context.Context) {
	again := s.call.s.c.Retry
	for wait := againFirst; ; wait = min(2*wait, again) {
		begun := time.Now()
		up := false
		err := ask.Ask(ctx, s.peer, s.call.method, s.request(), func(t ask.Told) error {
			return s.put(ctx, t, &up)
		})
		if ctx.Err() != nil {
			return
		}
		end := s.end(err)
		if !s.call.inbox.put(s, end) || end.batch.End {
			return
		}
		if time.Since(begun) > again {
			wait = againFirst
		}
		if !s.rest(ctx, wait) {
			return
		}
	}
}

// end is what is told once a node has told all, or failed. It is waited for no longer,
// and what it tells later is late.
func (s *source) end(err error) told {
	follows := s.call.req.GetFollow()
	final := !follows || isFinal(err) || err == nil && s.call.req.GetUntil() != nil
	now := s.now
	switch {
	case s.peer.Conn.GetState() == connectivity.Shutdown:
		now, final = state{is: relaypb.NodeState_NODE_GONE}, true
	case isFinal(err), errors.Is(err, ask.ErrGarbage):
		now = state{relaypb.NodeState_NODE_ERROR, reason(err)}
	case err != nil:
		now = state{relaypb.NodeState_NODE_UNAVAILABLE, reason(err)}
	case follows && !final:
		now = state{relaypb.NodeState_NODE_UNAVAILABLE, "it has ended the stream"}
	}
	t := told{batch: ask.Batch{End: final, Away: !final}, state: s.change(now)}
	if status.Code(err) == codes.InvalidArgument {
		t.refused = err
	}
	return t
}

// change is the state if it is another than before.
func (s *source) change(now state) state {
	if now == s.now {
		return state{}
	}
	s.now = now
	return now
}

// rest waits, at most for so long: a node that was away is asked once it is back. It
// returns false if ctx ended.
func (s *source) rest(ctx context.Context, wait time.Duration) bool {
	within, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for before := s.peer.Conn.GetState(); s.peer.Conn.WaitForStateChange(within, before); before = s.peer.Conn.GetState() {
		if s.peer.Connected() {
			break
		}
	}
	return ctx.Err() == nil
}

// request is the client's, from behind what was told already. Of a node that was not
// there when the call began, and is there now, it is all since then.
func (s *source) request() request {
	req := s.call.req
	switch {
	case !req.GetFollow():
		return req
	case s.last != 0:
		return since(req, time.Unix(0, s.last+1))
	case req.GetSince() == nil && time.Since(s.call.begun) > startWait:
		return since(req, s.call.begun)
	}
	return req
}

func (s *source) put(ctx context.Context, t ask.Told, up *bool) error {
	out := told{batch: t.Batch, last: t.Last, class: metrics.Plain}
	if t.Batched {
		out.class = metrics.Batched
	}
	if t.Bytes > 0 {
		s.call.metrics.Received(out.class, t.Bytes)
	}
	if !*up {
		*up = true
		out.state = s.change(state{is: relaypb.NodeState_NODE_CONNECTED})
		if gap := s.gap(ctx); gap != nil {
			out.batch.Items = append([]ask.Item{*gap}, out.batch.Items...)
		}
	}
	s.last = max(s.last, t.Last)
	if !s.call.inbox.put(s, out) {
		return context.Canceled
	}
	return nil
}

// took notes that so much of what the source holds was taken, and returns whether it is
// time to tell it.
func (s *source) took(bytes int) bool {
	s.taken.bytes += bytes
	s.taken.items++
	return s.taken.bytes >= freeEvery
}

// gap is what is told of flows that the node had after the last that it told, and has no
// longer now that it is asked again: it was away for too long, or has begun anew. How many
// they are nobody knows. It is nil if there are none.
func (s *source) gap(ctx context.Context) *ask.Item {
	if s.last == 0 || !s.call.states {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, oldestWithin)
	defer cancel()
	oldest, err := s.oldest(ctx)
	if err != nil || oldest <= s.last {
		return nil
	}
	m, err := proto.Marshal(&observerpb.GetFlowsResponse{
		NodeName: s.peer.Name, Time: timestamppb.New(time.Unix(0, s.last)),
		ResponseTypes: &observerpb.GetFlowsResponse_LostEvents{LostEvents: &flowpb.LostEvent{
			Source: flowpb.LostEventSource_HUBBLE_RING_BUFFER,
			First:  timestamppb.New(time.Unix(0, s.last)), Last: timestamppb.New(time.Unix(0, oldest)),
		}},
	})
	if err != nil {
		return nil
	}
	return &ask.Item{Time: s.last, Message: rpc.NewPiece(m)}
}

// oldest is the time of the oldest flow that the node knows: now if it knows none.
func (s *source) oldest(ctx context.Context) (at int64, err error) {
	at = time.Now().UnixNano()
	err = ask.Ask(ctx, s.peer, s.call.method, &observerpb.GetFlowsRequest{Number: 1, First: true}, func(t ask.Told) error {
		if t.Last != 0 {
			at = t.Last
		}
		return nil
	})
	return at, err
}

// isFinal tells whether it makes no sense to ask again: the request itself is refused.
func isFinal(err error) bool {
	switch status.Code(err) {
	case codes.InvalidArgument, codes.Unimplemented, codes.PermissionDenied, codes.Unauthenticated:
		return err != nil
	}
	return false
}

// reason is an error in words for people.
func reason(err error) string {
	if errors.Is(err, ask.ErrSilent) || errors.Is(err, ask.ErrGarbage) {
		return err.Error()
	}
	return status.Convert(err).Message()
}
