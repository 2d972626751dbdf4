package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/hack/bench/child"
	"github.com/fovea-obs/fovea/hack/bench/sample"
)

const (
	appendTurns = 9
	appendBound = 60.0 // ns

	bytesBound = 128.0
)

// benchAppend measures what one record takes to write, in a full history.
func benchAppend(ctx context.Context, _ string) ([]result, error) {
	s, err := sample.New(sample.Flows)
	if err != nil {
		return nil, err
	}
	var records [history.ChunkSize]history.Record
	segment, err := s.History.Segment(0)
	if err != nil {
		return nil, fmt.Errorf("read records: %w", err)
	}
	for i := range records {
		segment.Record(i, &records[i])
	}
	segment.Release()
	var values []float64
	var before, after runtime.MemStats
	// The first turn fills the ring.
	for turn := range appendTurns + 1 {
		if turn == 1 {
			runtime.ReadMemStats(&before)
		}
		begun := time.Now()
		for i := range sample.Flows {
			s.History.Append(&records[i%len(records)])
		}
		if turn > 0 {
			values = append(values, float64(time.Since(begun).Nanoseconds())/sample.Flows)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	runtime.ReadMemStats(&after)
	allocs := float64(after.Mallocs-before.Mallocs) / (appendTurns * sample.Flows)
	return []result{
		bounded("append", "ns", median(values), appendBound),
		{"append.allocs", allocs, "allocations/record", "none", 0, 0},
	}, nil
}

// benchBytesPerFlow measures all the memory of a process that holds a sample.
func benchBytesPerFlow(ctx context.Context, _ string) (_ []result, err error) {
	c, err := startChild(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	a, err := c.Do(child.Command{Do: "fill"})
	if err != nil {
		return nil, err
	}
	mib, err := residentMiB(c.PID())
	if err != nil {
		return nil, err
	}
	return []result{bounded("history.bytes_per_flow", "bytes", mib*(1<<20)/float64(a.Flows), bytesBound)}, nil
}
