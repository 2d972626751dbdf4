package e2e

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
)

// own is what the nodes themselves answer, in order.
func own(t *testing.T, nodes []observerpb.ObserverClient, req *observerpb.GetFlowsRequest) (flows []*observerpb.GetFlowsResponse) {
	t.Helper()
	for _, c := range nodes {
		told, _ := all(t, c, req)
		flows = append(flows, told...)
	}
	slices.SortFunc(flows, byTimeAndNode)
	return flows
}

// same holds flows against those that are wanted, each by its bytes' meaning. What is
// alike costs little, as there are many.
func same(t *testing.T, want, got []*observerpb.GetFlowsResponse) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d flows, want %d", len(got), len(want))
	}
	wrong := 0
	for i := range min(len(got), len(want)) {
		if proto.Equal(want[i], got[i]) {
			continue
		}
		if wrong++; wrong <= 3 {
			t.Errorf("flow %d of %d: %s", i, len(want), gocmp.Diff(want[i], got[i], protocmp.Transform()))
		}
	}
	if wrong > 0 {
		t.Errorf("%d flows are not those wanted", wrong)
	}
}

func byTimeAndNode(a, b *observerpb.GetFlowsResponse) int {
	return cmp.Or(byTime(a, b), strings.Compare(a.GetNodeName(), b.GetNodeName()))
}

// late counts those that come after one of a later time, of all nodes and of the same.
func late(flows []*observerpb.GetFlowsResponse) (any, ofNode int) {
	var newest time.Time
	newestOf := map[string]time.Time{}
	for _, r := range flows {
		at, node := r.GetTime().AsTime(), r.GetNodeName()
		if at.Before(newest) {
			any++
		}
		if at.Before(newestOf[node]) {
			ofNode++
		}
		newest, newestOf[node] = later(newest, at), later(newestOf[node], at)
	}
	return any, ofNode
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
