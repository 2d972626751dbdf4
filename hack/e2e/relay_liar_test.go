package e2e

import (
	"context"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	relaypb "github.com/cilium/cilium/api/v1/relay"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	foveapb "github.com/fovea-obs/fovea/proto/v1"
)

const (
	// clockOff is how wrong a clock is.
	clockOff = 10 * time.Minute
	// outWithin is how long flows wait for nodes that do not tell how far they are.
	outWithin = 200 * time.Millisecond
	// liarHas is how many flows a liar has from before it was asked.
	liarHas = 50
	// busyEach is how many flows a node that is busy has at once, of busyBytes.
	busyEach, busyBytes = 60, 600
)

// liar is a node whose clock is wrong. It is of this process: all agents of a machine
// have the same clock, as namespaces of time do not have one of their own for it.
type liar struct {
	observerpb.UnimplementedObserverServer
	name string
	off  time.Duration
	// each is how many flows there are at once, padded has as many bytes more in each.
	each, padded int
	born         time.Time
}

// newLiar has one join until the test ends, which tells batches and how far it is, as
// agents do, or single flows, as Hubble's servers do.
func (c *cluster) newLiar(t *testing.T, l *liar, batches bool) {
	t.Helper()
	l.born = time.Now()
	socket := filepath.Join(t.TempDir(), "liar.sock")
	at, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	check(t, err)
	serveUntilEnd(t, at, func(s *grpc.Server) {
		observerpb.RegisterObserverServer(s, l)
		if batches {
			foveapb.RegisterBatchesServer(s, lyingBatches{l: l})
		}
	})
	c.roster.join(l.name, "unix://"+socket, "")
	t.Cleanup(func() { c.roster.leave(l.name) })
}

func (l *liar) response(at time.Time) *observerpb.GetFlowsResponse {
	return &observerpb.GetFlowsResponse{
		NodeName: l.name, Time: timestamppb.New(at),
		ResponseTypes: &observerpb.GetFlowsResponse_Flow{Flow: &flowpb.Flow{Time: timestamppb.New(at), NodeName: l.name, Summary: strings.Repeat(".", l.padded)}},
	}
}

// tell has flows sent, of the past or from now on, and that there are none before a time.
func (l *liar) tell(ctx context.Context, req *observerpb.GetFlowsRequest, send func(...time.Time) error) error {
	if !req.GetFollow() {
		first := 0
		if n := int(req.GetNumber()); n > 0 {
			first = max(0, liarHas-n)
		}
		for i := first; i < liarHas; i++ {
			if err := send(l.born.Add(l.off + time.Duration(i-liarHas)*time.Millisecond)); err != nil {
				return err
			}
		}
		return nil
	}
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			var times []time.Time
			for i := range l.each {
				times = append(times, now.Add(l.off+time.Duration(i)))
			}
			if err := send(times...); err != nil {
				return err
			}
		}
	}
}

// GetFlows implements [observerpb.ObserverServer].
func (l *liar) GetFlows(req *observerpb.GetFlowsRequest, stream grpc.ServerStreamingServer[observerpb.GetFlowsResponse]) error {
	if err := stream.SendHeader(nil); err != nil {
		return err
	}
	return l.tell(stream.Context(), req, func(times ...time.Time) error {
		for _, at := range times {
			if err := stream.Send(l.response(at)); err != nil {
				return err
			}
		}
		return nil
	})
}

type lyingBatches struct {
	foveapb.UnimplementedBatchesServer
	l *liar
}

// GetFlows implements [foveapb.BatchesServer].
func (b lyingBatches) GetFlows(req *observerpb.GetFlowsRequest, stream grpc.ServerStreamingServer[foveapb.Batch]) error {
	if err := stream.Send(&foveapb.Batch{}); err != nil {
		return err
	}
	return b.l.tell(stream.Context(), req, func(times ...time.Time) error {
		out, before := &foveapb.Batch{}, int64(0)
		for _, at := range times {
			m, err := proto.Marshal(b.l.response(at))
			if err != nil {
				return err
			}
			out.Responses = append(out.Responses, m...)
			out.Sizes = append(out.Sizes, uint32(len(m)))
			out.Times = append(out.Times, at.UnixNano()-before)
			before = at.UnixNano()
		}
		out.Watermark = before
		return stream.Send(out)
	})
}

// testClocks has nodes whose clocks are wrong: what others tell waits no longer for them
// than for any that do not tell how far they are.
func testClocks(t *testing.T, c *cluster) {
	liars := []struct {
		name    string
		off     time.Duration
		batches bool
	}{
		{"past", -clockOff, true}, {"future", clockOff, true}, {"past-hubble", -clockOff, false}, {"future-hubble", clockOff, false},
	}
	// Its clock is right, but what waits for others is much.
	busy := &liar{name: "busy", each: busyEach, padded: busyBytes}
	c.newLiar(t, busy, true)
	v := c.follow(t)
	// Without the relay flows may be late, too, because others run.
	var direct []*view
	for _, m := range c.members {
		direct = append(direct, viewOf(t, m.agent, m))
	}
	for _, l := range liars {
		t.Run(l.name, func(t *testing.T) {
			begun := time.Now()
			c.newLiar(t, &liar{name: l.name, off: l.off, each: 1}, l.batches)
			v.awaitTold(t, l.name, begun, relaypb.NodeState_NODE_CONNECTED)
			v.await(t, "100 flows of "+l.name, func() bool { return len(v.flows[l.name]) >= 100 })
			longest := time.Duration(0)
			for i, m := range c.members {
				f := v.of(t, m, begun)
				alone := direct[i].of(t, m, begun).lag
				longest = max(longest, alone)
				t.Logf("%s: %v; without the relay %v on its way", m.Name, f, alone.Round(time.Millisecond))
				if f.lag > outWithin+scheduling+alone || f.lost > 0 || f.doubled > 0 {
					t.Errorf("beside it, %s: %v", m.Name, f)
				}
			}
			if lag := v.lagOf(busy.name, begun); lag > outWithin+scheduling+longest {
				t.Errorf("beside it, flows of a busy node were on their way for %v", lag)
			} else {
				t.Logf("%s: longest on its way %v", busy.name, lag.Round(time.Millisecond))
			}
			for _, number := range []uint64{0, 20} {
				asked := time.Now()
				flows, _ := all(t, c.relay.Client, &observerpb.GetFlowsRequest{Number: number, Whitelist: beats()})
				t.Logf("%d flows of history after %v", len(flows), time.Since(asked).Round(time.Millisecond))
				of := map[string]int{}
				for _, f := range flows {
					of[f.GetNodeName()]++
				}
				if !slices.IsSortedFunc(flows, byTime) || number > 0 && len(flows) != int(number) ||
					number == 0 && (of[l.name] != liarHas || of[c.members[0].Name] < 50) {
					t.Errorf("history of the last %d: %d flows of %v, in order %v", number, len(flows), of, slices.IsSortedFunc(flows, byTime))
				}
			}
		})
		v.awaitTold(t, l.name, time.Time{}, relaypb.NodeState_NODE_GONE)
	}
	c.roster.leave(busy.name)
	v.awaitTold(t, busy.name, time.Time{}, relaypb.NodeState_NODE_GONE)
}
