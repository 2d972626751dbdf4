package oracle

import (
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
)

// reference answers requests as plainly as can be, from all there is.
type reference struct {
	// sent is what a request for everything is answered with, oldest first.
	sent []*observerpb.GetFlowsResponse
	// passes tells whether a response passes a request's filters.
	passes func(*observerpb.GetFlowsResponse) bool
}

// start is where the answer to a request begins that comes now.
func (a *reference) start(req *observerpb.GetFlowsRequest) int {
	end := len(a.sent)
	for req.GetUntil() != nil && end > 0 && at(a.sent[end-1]).After(req.GetUntil().AsTime()) {
		end--
	}
	switch {
	case req.GetSince() != nil:
		for i, r := range a.sent {
			if !at(r).Before(req.GetSince().AsTime()) {
				return i
			}
		}
		return len(a.sent)
	case req.GetFirst():
		return 0
	case req.GetNumber() > 0:
		return a.back(req.GetNumber(), end)
	case req.GetFollow():
		return end
	}
	return 0
}

// back is where the last number flows that pass begin before end.
func (a *reference) back(number uint64, end int) int {
	for i := end - 1; i >= 0; i-- {
		if a.sent[i].GetFlow() == nil || !a.passes(a.sent[i]) {
			continue
		}
		if number--; number == 0 {
			return i
		}
	}
	return 0
}

// answer is what is sent from start on, and whether that ends.
func (a *reference) answer(req *observerpb.GetFlowsRequest, start int) (sent []*observerpb.GetFlowsResponse, ends bool) {
	flows := uint64(0)
	for _, r := range a.sent[start:] {
		if req.GetUntil() != nil && at(r).After(req.GetUntil().AsTime()) {
			return sent, true
		}
		if !a.passes(r) || req.GetSince() != nil && at(r).Before(req.GetSince().AsTime()) {
			continue
		}
		sent = append(sent, r)
		if r.GetFlow() != nil {
			flows++
		}
		if flows == req.GetNumber() && flows > 0 && !req.GetFollow() {
			return sent, true
		}
	}
	return sent, !req.GetFollow()
}

// at is a response's time.
func at(r *observerpb.GetFlowsResponse) time.Time { return r.GetTime().AsTime() }
