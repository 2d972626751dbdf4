package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/fovea-obs/fovea/agent/observer"
	"github.com/fovea-obs/fovea/hack/bench/child"
	"github.com/fovea-obs/fovea/hack/bench/sample"
)

const (
	scanTurns = 9
	// scanTime is what a side gets in a turn, at least.
	scanTime  = 60 * time.Millisecond
	scanBound = 5.0 // ms

	shortTurns = 9
	shortCalls = 50
	shortBound = 0.2 // ms
)

// benchQuery measures whole calls of GetFlows, without a connection. Those that
// look at all flows are compared with Hubble's server over a ring of the oldest
// of the same flows, by the time for each flow that is looked at.
func benchQuery(ctx context.Context, dir string) (_ []result, err error) {
	s, err := sample.New(sample.Flows)
	if err != nil {
		return nil, err
	}
	server := s.Server(1)
	l, err := listen(ctx, server, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	conn, err := dial(l.Address)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	client := observerpb.NewObserverClient(conn)
	upstream, held, err := startUpstream(ctx, dir, client)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, upstream.Stop()) }()
	var results []result
	for _, q := range sample.Queries() {
		r, err := compareScans(ctx, server, upstream, held, q)
		if err != nil {
			return results, fmt.Errorf("%s: %w", q.Name, err)
		}
		results = append(results, r...)
	}
	short, err := benchShort(ctx, server, client)
	return append(results, short...), err
}

// compareScans takes turns with upstream, each first in every other one. With
// First, upstream looks at each flow once; without, it goes over the ring
// backwards before.
func compareScans(ctx context.Context, server *observer.Server, upstream *child.Child, held uint64, q sample.Query,
) ([]result, error) {
	req := &observerpb.GetFlowsRequest{First: true, Number: sample.Flows, Whitelist: q.Whitelist}
	text, err := protojson.Marshal(req)
	if err != nil {
		return nil, err
	}
	// Also a warm-up, which tells how often a scan fits in a turn.
	theirs, err := upstream.Do(child.Command{Do: "scan", Request: text, Times: 1})
	if err != nil {
		return nil, err
	}
	if err := sameAnswer(ctx, server, req, held, theirs.Sent); err != nil {
		return nil, err
	}
	_, took, err := timeCalls(ctx, server, req, 1)
	if err != nil {
		return nil, err
	}
	ourTimes, theirTimes := timesFor(took), timesFor(time.Duration(theirs.Nanoseconds))
	ours := func() (float64, error) {
		_, took, err := timeCalls(ctx, server, req, ourTimes)
		return float64(took.Nanoseconds()) / float64(ourTimes) / sample.Flows, err
	}
	baseline := func() (float64, error) {
		a, err := upstream.Do(child.Command{Do: "scan", Request: text, Times: theirTimes})
		return float64(a.Nanoseconds) / float64(theirTimes) / float64(held), err
	}
	values, baselines, err := inTurns(scanTurns, ours, baseline)
	if err != nil {
		return nil, err
	}
	r := compared("query."+q.Name, "ns/flow", "Hubble's server", values, baselines)
	return []result{r, bounded("query."+q.Name+".time", "ms", r.Value*sample.Flows/1e6, scanBound)}, nil
}

func timesFor(one time.Duration) int { return 1 + int(scanTime/max(one, 1)) }

// sameAnswer fails if we do not find as many flows among those that upstream
// holds as it did.
func sameAnswer(ctx context.Context, server *observer.Server, req *observerpb.GetFlowsRequest, held, theirs uint64) error {
	among := &observerpb.GetFlowsRequest{
		First: true, Number: req.GetNumber(), Whitelist: req.GetWhitelist(),
		Until: timestamppb.New(sample.TimeOf(int(held) - 1)),
	}
	ours, _, err := timeCalls(ctx, server, among, 1)
	if err != nil {
		return err
	}
	if ours == 0 || ours != theirs {
		return fmt.Errorf("%d flows found where upstream found %d", ours, theirs)
	}
	return nil
}

// benchShort measures questions that an answer in full needs few flows for.
func benchShort(ctx context.Context, server *observer.Server, client observerpb.ObserverClient) ([]result, error) {
	const number = 20
	middle, err := client.GetFlows(ctx, &observerpb.GetFlowsRequest{
		Number: 1, Until: timestamppb.New(sample.TimeOf(sample.Flows / 2)),
	})
	if err != nil {
		return nil, fmt.Errorf("ask for a flow: %w", err)
	}
	flow, err := middle.Recv()
	if err != nil {
		return nil, fmt.Errorf("ask for a flow: %w", err)
	}
	uuid := []*flowpb.FlowFilter{{Uuid: []string{flow.GetFlow().GetUuid()}}}
	var results []result
	for _, m := range []struct {
		name      string
		whitelist []*flowpb.FlowFilter
		want      uint64
	}{{"query.last20", nil, number}, {"query.last20_pod", sample.Pod(), number}, {"query.uuid", uuid, 1}} {
		req := &observerpb.GetFlowsRequest{Number: number, Whitelist: m.whitelist}
		var values []float64
		for range shortTurns {
			sent, took, err := timeCalls(ctx, server, req, shortCalls)
			if err != nil {
				return results, fmt.Errorf("%s: %w", m.name, err)
			}
			if sent != m.want {
				return results, fmt.Errorf("%s: %d flows found, not %d", m.name, sent, m.want)
			}
			values = append(values, took.Seconds()*1e3/shortCalls)
		}
		results = append(results, bounded(m.name, "ms", median(values), shortBound))
	}
	return results, nil
}

// timeCalls calls GetFlows so many times, and returns how many flows the last
// call sent and how long all took.
func timeCalls(ctx context.Context, server *observer.Server, req *observerpb.GetFlowsRequest, times int,
) (sent uint64, took time.Duration, err error) {
	begun := time.Now()
	for range times {
		d := newDiscard(ctx)
		if err := server.GetFlows(req, d); err != nil {
			return 0, 0, err
		}
		sent = d.sent
	}
	return sent, time.Since(begun), nil
}
