package observer

import (
	"context"
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
	// sources are those that are asked, numbered also those of which something is left.
	sources  map[*peers.Peer]*source
	numbered []*source
	// last are the times of the newest flows or events, by the names of nodes.
	last    map[string]int64
	running sync.WaitGroup
	inbox   inbox
	out     *window
	message rpc.Piece
}

func (c *call) serve(s *Server) error {
	defer c.metrics.Opened()()
	ctx, cancel := context.WithCancel(c.stream.Context())
	c.s, c.begun, c.out = s, time.Now(), newWindow(c.req)
	c.sources, c.last = map[*peers.Peer]*source{}, map[string]int64{}
	patience, most := time.Duration(0), 0
	if c.req.GetFollow() {
		patience, most = s.c.Patience, s.c.MaxWaiting
	}
	c.merge = merge.New[rpc.Piece](patience, most)
	c.inbox.init(most)
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
				if err := c.take(s, c.inbox.of(s)); err != nil {
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
			if err := c.tellGone(list); err != nil {
				return err
			}
			c.ask(ctx, list)
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
		// One that was here before goes on where it ended.
		s := &source{call: c, peer: p, number: c.merge.Add(), last: c.last[p.Name]}
		own, cancel := context.WithCancel(ctx)
		s.cancel = cancel
		c.sources[p] = s
		if s.number == len(c.numbered) {
			c.numbered = append(c.numbered, nil)
		}
		c.numbered[s.number] = s
		c.running.Go(func() { s.run(own) })
	}
}

// tellGone tells of those that are not in the list any more.
func (c *call) tellGone(list []*peers.Peer) error {
	there := make(map[*peers.Peer]bool, len(list))
	for _, p := range list {
		there[p] = true
	}
	for p, s := range c.sources {
		if there[p] {
			continue
		}
		delete(c.sources, p)
		s.cancel()
		if err := c.take(s, c.inbox.leave(s)); err != nil {
			return err
		}
		c.merge.Remove(s.number)
		if s.gone {
			continue
		}
		if err := c.status(state{relaypb.NodeState_NODE_GONE, ""}, p.Name); err != nil {
			return err
		}
	}
	return nil
}

// take takes what a source has told.
func (c *call) take(s *source, list []told) error {
	for _, t := range list {
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
			c.last[s.peer.Name] = max(c.last[s.peer.Name], t.last)
		}
		c.merge.Put(s.number, t.batch, time.Now())
	}
	return nil
}

// drain sends what is out. Wait is how long it takes until there is more if no node
// tells more, 0 if that alone changes nothing.
func (c *call) drain() (wait time.Duration, err error) {
	now := time.Now()
	for !c.out.full() {
		item, number, wait, ok := c.merge.Next(now)
		if !ok {
			if c.out.pass(c.merge.Passed()) {
				return 0, c.flush()
			}
			return wait, nil
		}
		s := c.numbered[number]
		portion := s.took(item.Message.Len()) || c.merge.Queued(number) == 0
		if portion {
			c.inbox.free(s)
		}
		happened := ask.Happened(item.Message.Bytes())
		if c.out.pass(item.Time) {
			if err := c.flush(); err != nil {
				return 0, err
			}
		}
		if happened {
			if held, err := c.out.hold(&item.Message, s.class); err != nil {
				return 0, err
			} else if held {
				continue
			}
		}
		if err := c.send(item.Message, s.class, happened); err != nil {
			return 0, err
		}
		if portion && happened {
			c.followedAt(item.Time)
		}
	}
	return 0, nil
}

// flush sends what was held back.
func (c *call) flush() error {
	for _, h := range c.out.release() {
		if err := c.send(rpc.NewPiece(h.message), h.class, true); err != nil {
			return err
		}
	}
	return nil
}

// send sends a message, which tells of a flow or an event if that happened.
func (c *call) send(message rpc.Piece, from metrics.Class, happened bool) error {
	lost := uint64(0)
	if !happened && c.metrics != nil {
		lost = lostIn(message.Bytes())
	}
	c.message = message
	if err := c.stream.SendMsg(&c.message); err != nil {
		return err
	}
	if happened {
		c.metrics.Forwarded(from)
	} else {
		c.metrics.Lost(from, lost)
	}
	return nil
}

// lostIn is how many flows a response says that are lost.
func lostIn(response []byte) uint64 {
	var r observerpb.GetFlowsResponse
	if proto.Unmarshal(response, &r) != nil {
		return 0
	}
	return r.GetLostEvents().GetNumEventsLost()
}

// followedAt notes how late a flow was sent, if the request follows and it is new.
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
