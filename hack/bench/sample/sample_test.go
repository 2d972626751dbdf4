package sample

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fovea-obs/fovea/agent/history"
)

// TestSamplesAreAlike holds that two processes have the same flows, however many
// each of them made.
func TestSamplesAreAlike(t *testing.T) {
	small, large := records(t, 2000), records(t, 6000)
	for i := range small {
		if diff := cmp.Diff(small[i], large[i]); diff != "" {
			t.Fatalf("flow %d: %s", i, diff)
		}
	}
}

func records(t *testing.T, flows int) []history.Record {
	t.Helper()
	s, err := New(flows)
	if err != nil {
		t.Fatal(err)
	}
	var all []history.Record
	for s.History.Next() > uint64(len(all)) {
		segment, err := s.History.Segment(uint64(len(all)))
		if err != nil {
			t.Fatal(err)
		}
		for i := range segment.Len {
			all = append(all, history.Record{})
			segment.Record(i, &all[len(all)-1])
		}
		segment.Release()
	}
	if len(all) != flows {
		t.Fatalf("%d flows of %d", len(all), flows)
	}
	return all
}
