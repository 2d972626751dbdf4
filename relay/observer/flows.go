package observer

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	relaypb "github.com/cilium/cilium/api/v1/relay"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/fovea-obs/fovea/internal/rpc"
	"github.com/fovea-obs/fovea/relay/ask"
	"github.com/fovea-obs/fovea/relay/merge"
	"github.com/fovea-obs/fovea/relay/metrics"
	"github.com/fovea-obs/fovea/relay/peers"
)

const (
	// ahead is how many batches of a node are held at most.
	ahead = 2
	// againFirst is how long after it was given up a node is asked again by a request
	// that follows, at first, and againMost at most.
	againFirst, againMost = time.Second, 15 * time.Second
)

// GetFlows sends the flows of all nodes in the order of their times.
func (s *Server) GetFlows(req *observerpb.GetFlowsRequest, stream grpc.ServerStreamingServer[observerpb.GetFlowsResponse]) error {
	if req.GetFirst() && req.GetFollow() {
		return status.Error(codes.InvalidArgument, "first: true is not valid with follow: what comes last has no end")
	}
	defer s.c.Metrics.Opened()()
	ctx, cancel := context.WithCancel(stream.Context())
	f := &flows{
		s: s, begun: time.Now(), req: req, stream: stream, told: make(chan told), sources: map[*peers.Peer]*source{},
		merge: merge.New(0), out: newWindow(req),
	}
	if req.GetFollow() {
		f.merge = merge.New(s.c.Patience)
	}
	defer func() {
		cancel()
		f.running.Wait()
	}()
	return f.run(ctx)
}

// flows is a call of GetFlows.
type flows struct {
	s      *Server
	begun  time.Time
	req    *observerpb.GetFlowsRequest
	stream grpc.ServerStream
	merge  *merge.Merge
	// sources are those that are asked, numbered also those that were.
	sources  map[*peers.Peer]*source
	numbered []*source
	told     chan told
	running  sync.WaitGroup
	out      *window
	message  rpc.Wire
}

// told is what a source tells: a batch, or a change of its node's state.
type told struct {
	source *source
	batch  merge.Batch
	class  metrics.Class
	state  relaypb.NodeState
	why    string
	// refused is what the node says of the request, if that is not valid.
	refused error
}

func (f *flows) run(ctx context.Context) error {
	list, changed := f.s.c.Peers.All()
	f.ask(ctx, list)
	for {
		wait, err := f.drain()
		if err != nil || f.out.full() {
			return err
		}
		if f.isOver() {
			return f.flush()
		}
		var timer <-chan time.Time
		if wait > 0 {
			timer = time.After(wait)
		}
		select {
		case t := <-f.told:
			if err := f.take(t); err != nil {
				return err
			}
		case <-timer:
		case <-f.out.due():
			if err := f.flush(); err != nil {
				return err
			}
		case <-f.followed(changed):
			list, changed = f.s.c.Peers.All()
			f.ask(ctx, list)
			if err := f.tellGone(list); err != nil {
				return err
			}
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
	}
}

// isOver tells whether all nodes have told all. Those that a request follows have only
// at its last time.
func (f *flows) isOver() bool {
	if !f.merge.Ended() {
		return false
	}
	if !f.req.GetFollow() {
		return true
	}
	for _, s := range f.sources {
		if !s.over {
			return false
		}
	}
	return f.req.GetUntil() != nil
}

// followed is changed if the request follows: others ask those that are there.
func (f *flows) followed(changed <-chan struct{}) <-chan struct{} {
	if f.req.GetFollow() {
		return changed
	}
	return nil
}

// ask asks those of the list that are not asked yet.
func (f *flows) ask(ctx context.Context, list []*peers.Peer) {
	for _, p := range list {
		if f.sources[p] != nil {
			continue
		}
		s := &source{flows: f, peer: p, number: f.merge.Add(), credit: make(chan struct{}, ahead)}
		own, cancel := context.WithCancel(ctx)
		s.cancel = cancel
		f.sources[p] = s
		f.numbered = append(f.numbered, s)
		f.running.Go(func() { s.run(own) })
	}
}

// tellGone tells of those that are not in the list any more.
func (f *flows) tellGone(list []*peers.Peer) error {
	for p, s := range f.sources {
		if slices.Contains(list, p) {
			continue
		}
		delete(f.sources, p)
		s.cancel()
		if s.gone {
			continue
		}
		s.gone = true
		f.merge.Put(s.number, merge.Batch{End: true}, time.Now())
		if err := f.status(relaypb.NodeState_NODE_GONE, p.Name, ""); err != nil {
			return err
		}
	}
	return nil
}

func (f *flows) take(t told) error {
	if t.refused != nil {
		return t.refused
	}
	if t.source.gone {
		return nil
	}
	t.source.gone, t.source.over = t.state == relaypb.NodeState_NODE_GONE, t.batch.End
	if t.state != 0 {
		if err := f.status(t.state, t.source.peer.Name, t.why); err != nil {
			return err
		}
	}
	if len(t.batch.Items) > 0 {
		t.source.held++
		t.source.class = t.class
	}
	f.merge.Put(t.source.number, t.batch, time.Now())
	return nil
}

// drain sends what is out. Wait is how long it takes until there is more if no node
// tells more, 0 if that alone changes nothing.
func (f *flows) drain() (wait time.Duration, err error) {
	now := time.Now()
	for !f.out.full() {
		item, number, wait, ok := f.merge.Next(now)
		if !ok {
			if f.out.pass(f.merge.Passed()) {
				return 0, f.flush()
			}
			return wait, nil
		}
		ends := false // a batch
		for s := f.numbered[number]; s.held > f.merge.Queued(number); s.held-- {
			<-s.credit
			ends = true
		}
		if f.out.pass(item.Time) {
			if err := f.flush(); err != nil {
				return 0, err
			}
		}
		if held, err := f.out.hold(item, number); held || err != nil {
			if err != nil {
				return 0, err
			}
			continue
		}
		if err := f.send(item.Message, number); err != nil {
			return 0, err
		}
		if at := time.Unix(0, item.Time); ends && f.req.GetFollow() && at.After(f.begun) {
			f.s.c.Metrics.Followed(at)
		}
	}
	return 0, nil
}

// flush sends what was held back.
func (f *flows) flush() error {
	for _, h := range f.out.release() {
		if err := f.send(h.message, h.source); err != nil {
			return err
		}
	}
	return nil
}

// send sends what a source told.
func (f *flows) send(message []byte, source int) error {
	f.message.Bytes = message
	if err := f.stream.SendMsg(&f.message); err != nil {
		return err
	}
	f.s.c.Metrics.Forwarded(f.numbered[source].class, message)
	return nil
}

func (f *flows) status(state relaypb.NodeState, node, why string) error {
	return f.stream.SendMsg(&observerpb.GetFlowsResponse{
		NodeName: f.s.c.Name, Time: timestamppb.Now(),
		ResponseTypes: &observerpb.GetFlowsResponse_NodeStatus{NodeStatus: &relaypb.NodeStatusEvent{
			StateChange: state, NodeNames: []string{node}, Message: why,
		}},
	})
}

// source is a node that is asked for a request.
type source struct {
	flows  *flows
	peer   *peers.Peer
	number int
	cancel context.CancelFunc
	// credit holds one for each batch of the node that is held or on its way. held
	// counts the former, class is how the last was told, gone says that the node is, and
	// over that it has told all: these are for the call.
	credit     chan struct{}
	held       int
	class      metrics.Class
	gone, over bool
	// last is the time of the last item.
	last int64
	up   bool
	// telling is how the node tells flows.
	telling metrics.Class
}

// run asks until ctx ends or all was told. A request that follows asks again.
func (s *source) run(ctx context.Context) {
	for wait := againFirst; ; wait = min(2*wait, againMost) {
		begun := time.Now()
		err := ask.Flows(ctx, s.peer.Conn, s.request(), s.heard, func(b merge.Batch) error { return s.put(ctx, b) })
		if ctx.Err() != nil {
			return
		}
		last := told{source: s}
		if err != nil {
			last.state, last.why = relaypb.NodeState_NODE_UNAVAILABLE, reason(err)
		}
		// The node is waited for no longer, and what it tells later is too late.
		final := !s.flows.req.GetFollow() || isFinal(err) || err == nil && s.flows.req.GetUntil() != nil
		if isFinal(err) {
			last.state = relaypb.NodeState_NODE_ERROR
		}
		if status.Code(err) == codes.InvalidArgument {
			last.refused = err
		}
		if s.peer.Conn.GetState() == connectivity.Shutdown {
			last.state, last.why, final = relaypb.NodeState_NODE_GONE, "", true
		}
		last.batch.End, last.batch.Away = final, !final
		s.up = false
		if !s.tell(ctx, last) || final {
			return
		}
		if time.Since(begun) > againMost {
			wait = againFirst
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// request is the client's, from behind what was told already.
func (s *source) request() *observerpb.GetFlowsRequest {
	if s.last == 0 || !s.flows.req.GetFollow() {
		return s.flows.req
	}
	r := proto.CloneOf(s.flows.req)
	r.Number, r.Since = 0, timestamppb.New(time.Unix(0, s.last+1))
	return r
}

// heard is told of a message of the node.
func (s *source) heard(batched bool, bytes int) {
	s.telling = metrics.Plain
	if batched {
		s.telling = metrics.Batched
	}
	s.flows.s.c.Metrics.Received(s.telling, bytes)
}

func (s *source) put(ctx context.Context, b merge.Batch) error {
	t := told{source: s, batch: b, class: s.telling}
	if !s.up {
		s.up = true
		t.state = relaypb.NodeState_NODE_CONNECTED
	}
	if n := len(b.Items); n > 0 {
		s.last = b.Items[n-1].Time
		select {
		case s.credit <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if !s.tell(ctx, t) {
		return ctx.Err()
	}
	return nil
}

func (s *source) tell(ctx context.Context, t told) bool {
	select {
	case s.flows.told <- t:
		return true
	case <-ctx.Done():
		return false
	}
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
	if errors.Is(err, ask.ErrSilent) {
		return err.Error()
	}
	return status.Convert(err).Message()
}
