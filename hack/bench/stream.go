package main

import (
	"context"
	"errors"
	"fmt"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/fovea-obs/fovea/hack/bench/child"
)

const (
	streamTurns = 6
	// streamTimes is how often the flows are streamed in a turn.
	streamTimes = 3
)

// defaultMask is what the hubble command line asks for where it prints lines.
func defaultMask() *fieldmaskpb.FieldMask {
	return &fieldmaskpb.FieldMask{Paths: []string{
		"time", "verdict", "ethernet", "IP", "l4",
		"source.identity", "source.namespace", "source.pod_name",
		"destination.identity", "destination.namespace", "destination.pod_name",
		"Type", "node_name", "l7", "event_type", "source_service", "destination_service",
		"is_reply", "Summary", "ip_trace_id", "traffic_direction", "policy_match_type",
		"ingress_allowed_by", "ingress_denied_by", "egress_allowed_by", "egress_denied_by",
	}}
}

// benchStream measures the CPU time of a server, in a process of its own, for
// each flow that it streams over TCP, against Hubble's with the same flows.
func benchStream(ctx context.Context, dir string) (_ []result, err error) {
	fovea, err := startChild(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, fovea.Stop()) }()
	if _, err := fovea.Do(child.Command{Do: "fill"}); err != nil {
		return nil, err
	}
	ours, err := connect(fovea)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, ours.conn.Close()) }()
	upstream, held, err := startUpstream(ctx, dir, observerpb.NewObserverClient(ours.conn))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, upstream.Stop()) }()
	theirs, err := connect(upstream)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, theirs.conn.Close()) }()

	var results []result
	for _, m := range []struct {
		name string
		mask *fieldmaskpb.FieldMask
	}{{"stream.cpu", nil}, {"stream.cpu_masked", defaultMask()}} {
		req := &observerpb.GetFlowsRequest{First: true, Number: held, FieldMask: m.mask}
		perFlow := func(s streaming) func() (float64, error) {
			return func() (float64, error) { return s.cpuPerFlow(ctx, req) }
		}
		values, baselines, err := inTurns(streamTurns, perFlow(ours), perFlow(theirs))
		if err != nil {
			return results, fmt.Errorf("%s: %w", m.name, err)
		}
		// The first turn is a warm-up.
		results = append(results, compared(m.name, "us CPU/flow", "Hubble's server", values[1:], baselines[1:]))
	}
	return results, nil
}

// streaming is a server in a child and a connection to it.
type streaming struct {
	child *child.Child
	conn  *grpc.ClientConn
}

func connect(c *child.Child) (streaming, error) {
	a, err := c.Do(child.Command{Do: "listen"})
	if err != nil {
		return streaming{}, err
	}
	conn, err := dial(a.Address)
	return streaming{c, conn}, err
}

// cpuPerFlow streams what is asked for some times, and returns what that took
// the server for each flow, in microseconds.
func (s streaming) cpuPerFlow(ctx context.Context, req *observerpb.GetFlowsRequest) (float64, error) {
	before, err := s.child.Do(child.Command{Do: "usage"})
	if err != nil {
		return 0, err
	}
	for range streamTimes {
		n, err := receive(ctx, s.conn, req)
		if err != nil {
			return 0, err
		}
		if n != req.GetNumber() {
			return 0, fmt.Errorf("%d flows came, not %d", n, req.GetNumber())
		}
	}
	after, err := s.child.Do(child.Command{Do: "usage"})
	return float64(after.CPU-before.CPU) / 1e3 / streamTimes / float64(req.GetNumber()), err
}
