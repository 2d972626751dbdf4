package main

import (
	"context"
	"fmt"

	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/history"
)

// checkEvery is of how many records a reader checks one.
const checkEvery = 16

// reader checks what is written: as it comes or, again and again, all there is.
type reader struct {
	node  *node
	again bool

	checked, lost uint64
	err           error
}

func (r *reader) run(ctx context.Context) {
	h := r.node.ingest.History
	for next := uint64(0); ctx.Err() == nil && r.err == nil; {
		changed := h.Changed()
		if next >= h.Next() {
			if r.again {
				next = h.Oldest()
			}
			select {
			case <-ctx.Done():
			case <-changed:
			}
			continue
		}
		s, err := h.Segment(next)
		if err != nil {
			oldest := h.Oldest()
			r.lost += oldest - next
			next = oldest
			continue
		}
		r.check(&s, int(next-s.First))
		next = s.First + uint64(s.Len)
		s.Release()
	}
}

// check looks at a segment while it is held.
func (r *reader) check(s *history.Segment, from int) {
	c := s.Columns()
	for row := from; row < s.Len; row += checkEvery {
		e := r.node.ingest.Endpoints.At(endpoint.Number(c.Destination[row]))
		if want := podName(uint64(c.Packets[row])); e.Pod != want {
			r.err = fmt.Errorf("record %d was written for %s, and names %s", s.First+uint64(row), want, e)
			return
		}
		r.checked++
	}
}
