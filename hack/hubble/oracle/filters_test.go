package oracle

import (
	"context"
	"fmt"
	"slices"
	"testing"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/fovea-obs/fovea/agent/history"
)

// How much is judged: 130,000 flows in several histories, by 7,500 filters in
// 4,500 requests, each on a window of a history. Windows are of all sizes, and
// the first is the whole, so that there are 5 million times that a flow is held
// against a request, of which a third pass. With the race detector it takes a
// minute.
const (
	histories      = 8
	perHistory     = 4 * history.ChunkSize
	alone          = 6 // requests on each field by itself
	combined       = 250
	smallestWindow = 64
)

func TestFilters(t *testing.T) {
	j, count := newJudge(), newTally()
	t.Run("history", func(t *testing.T) {
		for i := range histories {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				judgeHistory(t, i, j, count)
			})
		}
	})
	if t.Failed() {
		return
	}
	t.Log(count)
	count.check(t)
	for i, d := range j.differences {
		if j.met[i] == 0 {
			t.Errorf("no filter has %s: the difference can go", d.what)
		}
	}
}

func judgeHistory(t *testing.T, part int, j *judge, count *tally) {
	r := newRand(t, part)
	n := newNode(t, []string{"prod", "default"}[part%2], history.MinSize/2*(perHistory/history.ChunkSize+1))
	n.write(r, perHistory)
	c := &comparison{node: n, judge: j, tally: count}
	for _, response := range n.read(t, 0) {
		if f := response.GetFlow(); f != nil {
			c.flows = append(c.flows, f)
		}
	}
	count.histories(len(c.flows))
	g := newGenerator(r, n.universe, c.flows)
	c.compare(t, c.flows, &observerpb.GetFlowsRequest{Whitelist: []*flowpb.FlowFilter{g.filter()}})
	for _, name := range append(g.names, languages()...) {
		for i := range alone {
			window := c.window(g)
			if name == "experimental" {
				// Expressions take far longer than all else.
				window = window[:min(len(window), 8*smallestWindow)]
				g.near = window
			}
			// Half of them are to be taken.
			if g.wrong = 0; i%2 == 1 {
				g.wrong = 0.3
			}
			c.compare(t, window, &observerpb.GetFlowsRequest{Whitelist: []*flowpb.FlowFilter{g.only(name)}})
		}
	}
	g.wrong = 0.03
	for range combined {
		window := c.window(g)
		c.compare(t, window, &observerpb.GetFlowsRequest{Whitelist: g.filters(3), Blacklist: g.filters(2)})
	}
}

// mostFailures of a history are told; more of them tell no more.
const mostFailures = 5

// languages are the fields with a language of their own, to be asked more of.
func languages() []string {
	return slices.Repeat([]string{"source_label", "destination_label", "node_name", "experimental"}, 3)
}

// comparison holds a node against the judge.
type comparison struct {
	*node
	judge *judge
	tally *tally
	// failures there were.
	failures int
	// flows are all that the node has.
	flows []*flowpb.Flow
}

// window picks flows that follow one another, mostly few, and has filters be
// about some of them.
func (c *comparison) window(g *generator) []*flowpb.Flow {
	size := smallestWindow
	for size < len(c.flows) && chance(g.Rand, 0.7) {
		size *= 2
	}
	size = min(size, len(c.flows))
	at := g.IntN(len(c.flows) - size + 1)
	g.near = c.flows[at : at+size]
	return g.near
}

// compare asks the node for the flows of a window that pass filters.
func (c *comparison) compare(t *testing.T, window []*flowpb.Flow, req *observerpb.GetFlowsRequest) {
	t.Helper()
	req.Since, req.Until = window[0].GetTime(), window[len(window)-1].GetTime()
	req.FieldMask = &fieldmaskpb.FieldMask{Paths: []string{"uuid"}}
	req = wire(t, req)
	err := c.differs(t.Context(), window, req)
	if err == nil {
		return
	}
	req = smaller(req, func(req *observerpb.GetFlowsRequest) bool {
		return c.differs(t.Context(), window, req) != nil
	})
	t.Errorf("%s\n%v", prototext.MarshalOptions{}.Format(req), c.differs(t.Context(), window, req))
	if c.failures++; c.failures == mostFailures {
		t.FailNow()
	}
}

// differs returns what is wrong with the answer to a request, or nil.
func (c *comparison) differs(ctx context.Context, window []*flowpb.Flow, req *observerpb.GetFlowsRequest) error {
	v := c.judge.judge(ctx, req)
	responses, err := c.get(ctx, req)
	if len(v.refused) > 0 {
		c.tally.refused(req)
		return c.refusal(ctx, req, v, err)
	}
	if err != nil {
		return fmt.Errorf("refused, but upstream takes it: %w", err)
	}
	var got []string
	for _, r := range responses {
		if f := r.GetFlow(); f != nil {
			got = append(got, f.GetUuid())
		}
	}
	var want []string
	for _, f := range window {
		if v.passes(f) {
			want = append(want, f.GetUuid())
		}
	}
	c.tally.taken(req, len(window), len(want))
	if slices.Equal(got, want) {
		return nil
	}
	return fmt.Errorf("%d flows, want %d of %d: %s", len(got), len(want), len(window), firstOdd(window, got, want))
}

// firstOdd shows the first flow that only one of the two lists has.
func firstOdd(window []*flowpb.Flow, got, want []string) string {
	for _, f := range window {
		switch sent, wanted := slices.Contains(got, f.GetUuid()), slices.Contains(want, f.GetUuid()); {
		case sent && !wanted:
			return "sent, but not wanted:\n" + f.String()
		case wanted && !sent:
			return "not sent:\n" + f.String()
		}
	}
	return "not in order, or twice"
}

// refusal returns what is wrong with the error for a request that is to be
// refused, or nil.
func (c *comparison) refusal(ctx context.Context, req *observerpb.GetFlowsRequest, v *verdict, err error) error {
	if status.Code(err) != codes.InvalidArgument {
		return fmt.Errorf("ended with %v, but is not valid: %v", err, keysOf(v.refused))
	}
	b, err := blamed(req, status.Convert(err).Message())
	if err != nil {
		return err
	}
	if !v.refused[b.at] {
		return fmt.Errorf("refused for %v, which is valid: %v are not", b.at, keysOf(v.refused))
	}
	return c.judge.guilty(ctx, b.at.of(req), b)
}
