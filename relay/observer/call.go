package observer

import (
	"context"
	"slices"
	"sync"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	relaypb "github.com/cilium/cilium/api/v1/relay"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/fovea-obs/fovea/internal/rpc"
	"github.com/fovea-obs/fovea/relay/ask"
	"github.com/fovea-obs/fovea/relay/merge"
	"github.com/fovea-obs/fovea/relay/metrics"
	"github.com/fovea-obs/fovea/relay/peers"
)

// call is one that a client makes. Who makes one sets the fields up to the first gap;
// what is below is that of one goroutine, but for what says otherwise.
type call struct {
	method ask.Method
	req    request
	stream grpc.ServerStream
	// wanted tells of which nodes a response can be; of all if it is nil.
	wanted func(node string) bool
	// states has it told what becomes of nodes, as GetFlows can.
	states bool
	// metrics count what passes; nil counts nothing.
	metrics *metrics.Flows

	s     *Server
	begun time.Time
	merge *merge.Merge[rpc.Piece]
	// sources are those that are asked, numbered also those that were.
	sources  map[*peers.Peer]*source
	numbered []*source
	running  sync.WaitGroup
	inbox    inbox
	out      *window
	message  rpc.Piece
}

func (c *call) serve(s *Server) error {
	defer c.metrics.Opened()()
	ctx, cancel := context.WithCancel(c.stream.Context())
	c.s, c.begun, c.sources, c.out = s, time.Now(), map[*peers.Peer]*source{}, newWindow(c.req)
	c.inbox.init()
	c.merge = merge.New[rpc.Piece](0, 0)
	if c.req.GetFollow() {
		c.merge = merge.New[rpc.Piece](s.c.Patience, s.c.MaxWaiting)
	}
	defer func() {
		cancel()
		c.inbox.close()
		c.running.Wait()
	}()
	return c.run(ctx)
}

func (c *call) run(ctx context.Context) error {
	list, changed := c.s.c.Peers.All()
	c.ask(ctx, list)
	for {
		wait, err := c.drain()
		if err != nil || c.out.full() {
			return err
		}
		if c.isOver() {
			return c.flush()
		}
		var timer <-chan time.Time
		if wait > 0 {
			timer = time.After(wait)
		}
		select {
		case <-c.inbox.filled:
			for _, s := range c.inbox.take() {
				if err := c.take(s); err != nil {
					return err
				}
			}
		case <-timer:
		case <-c.out.due():
			if err := c.flush(); err != nil {
				return err
			}
		case <-c.followed(changed):
			list, changed = c.s.c.Peers.All()
			c.ask(ctx, list)
			if err := c.tellGone(list); err != nil {
				return err
			}
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
	}
}

// isOver tells whether all nodes have told all. Those that a request follows have only
// at its last time.
func (c *call) isOver() bool {
	if !c.merge.Ended() {
		return false
	}
	if !c.req.GetFollow() {
		return true
	}
	for _, s := range c.sources {
		if !s.over {
			return false
		}
	}
	return c.req.GetUntil() != nil
}

// followed is changed if the request follows: others ask those that are there.
func (c *call) followed(changed <-chan struct{}) <-chan struct{} {
	if c.req.GetFollow() {
		return changed
	}
	return nil
}

// ask asks those of the list that are not asked yet, and may have what is wanted.
func (c *call) ask(ctx context.Context, list []*peers.Peer) {
	for _, p := range list {
		if c.sources[p] != nil || c.wanted != nil && p.IsAlone() && !c.wanted(p.Name) {
			continue
		}
		s := &source{call: c, peer: p, number: c.merge.Add()}
		own, cancel := context.WithCancel(ctx)
		s.cancel = cancel
		c.sources[p] = s
		c.numbered = append(c.numbered, s)
		c.running.Go(func() { s.run(own) })
	}
}

// tellGone tells of those that are not in the list any more.
func (c *call) tellGone(list []*peers.Peer) error {
	for p, s := range c.sources {
		if slices.Contains(list, p) {
			continue
		}
		delete(c.sources, p)
		s.cancel()
		c.inbox.leave(s)
		if s.gone {
			continue
		}
		s.gone = true
		c.merge.Put(s.number, ask.Batch{End: true}, time.Now())
		if err := c.status(state{relaypb.NodeState_NODE_GONE, ""}, p.Name); err != nil {
			return err
		}
	}
	return nil
}

// take takes what a source has told since the last time.
func (c *call) take(s *source) error {
	for _, t := range c.inbox.of(s) {
		if t.refused != nil {
			return t.refused
		}
		s.gone, s.over = t.state.is == relaypb.NodeState_NODE_GONE, t.batch.End
		if t.state.is != 0 {
			if err := c.status(t.state, s.peer.Name); err != nil {
				return err
			}
		}
		if len(t.batch.Items) > 0 {
			s.class = t.class
		}
		c.merge.Put(s.number, t.batch, time.Now())
	}
	return nil
}

// drain sends what is out. Wait is how long it takes until there is more if no node
// tells more, 0 if that alone changes nothing.
func (c *call) drain() (wait time.Duration, err error) {
	// Who waits for room is not held up by those who say nothing.
	now, full := time.Now(), c.inbox.isFull()
	for !c.out.full() {
		item, number, wait, ok := c.merge.Next(now, full)
		if !ok {
			if c.out.pass(c.merge.Passed()) {
				return 0, c.flush()
			}
			return wait, nil
		}
		s := c.numbered[number]
		if s.took(item.Message.Len()) || c.merge.Queued(number) == 0 {
			full = c.inbox.free(s)
			c.followedAt(item.Time)
		}
		if c.out.pass(item.Time) {
			if err := c.flush(); err != nil {
				return 0, err
			}
		}
		if held, err := c.out.hold(&item.Message, s.class); err != nil {
			return 0, err
		} else if held {
			continue
		}
		if err := c.send(item.Message, s.class); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// flush sends what was held back.
func (c *call) flush() error {
	for _, h := range c.out.release() {
		if err := c.send(rpc.NewPiece(h.message), h.class); err != nil {
			return err
		}
	}
	return nil
}

func (c *call) send(message rpc.Piece, from metrics.Class) error {
	c.count(from, message.Bytes())
	c.message = message
	return c.stream.SendMsg(&c.message)
}

// count counts what a response tells: a flow, or that some are lost.
func (c *call) count(from metrics.Class, response []byte) {
	if c.metrics == nil {
		return
	}
	if ask.Happened(response) {
		c.metrics.Forwarded(from)
		return
	}
	var other observerpb.GetFlowsResponse
	if err := proto.Unmarshal(response, &other); err == nil {
		c.metrics.Lost(from, other.GetLostEvents().GetNumEventsLost())
	}
}

// followedAt notes how late what is out is, if the request follows and it is new: it is
// called now and then.
func (c *call) followedAt(at int64) {
	if t := time.Unix(0, at); c.req.GetFollow() && t.After(c.begun) {
		c.metrics.Followed(t)
	}
}

func (c *call) status(of state, node string) error {
	if !c.states {
		return nil
	}
	return c.stream.SendMsg(&observerpb.GetFlowsResponse{
		NodeName: c.s.c.Name, Time: timestamppb.Now(),
		ResponseTypes: &observerpb.GetFlowsResponse_NodeStatus{NodeStatus: &relaypb.NodeStatusEvent{
			StateChange: of.is, NodeNames: []string{node}, Message: of.why,
		}},
	})
}
