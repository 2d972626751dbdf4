package main

import (
	"testing"

	observerpb "github.com/cilium/cilium/api/v1/observer"

	"github.com/fovea-obs/fovea/hack/bench/sample"
)

// TestQueriesMatch holds that each question is about as selective as the others:
// a flow in a thousand.
func TestQueriesMatch(t *testing.T) {
	const flows = 100_000
	s, err := sample.New(flows)
	if err != nil {
		t.Fatal(err)
	}
	server := s.Server(1)
	for _, q := range sample.Queries() {
		t.Run(q.Name, func(t *testing.T) {
			sent, _, err := timeCalls(t.Context(), server, &observerpb.GetFlowsRequest{Whitelist: q.Whitelist}, 1)
			if err != nil {
				t.Fatal(err)
			}
			if sent < flows/2000 || sent > flows/500 {
				t.Errorf("%d flows of %d", sent, flows)
			}
		})
	}
}
