package ask

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/fovea-obs/fovea/relay/merge"
)

// TestGather has items that come while put is busy go together, in their order, and no
// more than there is room for.
func TestGather(t *testing.T) {
	busy, puts := make(chan struct{}), make(chan []merge.Item)
	g := newGather(func(b merge.Batch) error {
		puts <- b.Items
		<-busy
		return nil
	})
	done := make(chan error, 1)
	go func() { done <- g.run(t.Context()) }()
	add := func(ctx context.Context, at int64, size int) error {
		return g.add(ctx, merge.Item{Time: at, Message: make([]byte, size)})
	}
	if err := add(t.Context(), 1, 1); err != nil {
		t.Fatal(err)
	}
	if got := <-puts; len(got) != 1 {
		t.Fatalf("%d items were put, not the first", len(got))
	}
	for at := range int64(2) {
		if err := add(t.Context(), 2+at, gatherBytes/2); err != nil {
			t.Fatal(err)
		}
	}
	full, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := add(full, 4, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v where there is no room", err)
	}
	busy <- struct{}{}
	if got := <-puts; len(got) != 2 || got[0].Time != 2 || got[1].Time != 3 {
		t.Errorf("%v were put, want the two that came meanwhile", got)
	}
	if err := add(t.Context(), 5, 1); err != nil {
		t.Fatal(err)
	}
	g.close()
	busy <- struct{}{}
	if got := <-puts; len(got) != 1 || got[0].Time != 5 {
		t.Errorf("%v were put, want the last", got)
	}
	busy <- struct{}{}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestGatherFails with what put does.
func TestGatherFails(t *testing.T) {
	want := errors.New("no")
	g := newGather(func(merge.Batch) error { return want })
	if err := g.add(t.Context(), merge.Item{Time: 1, Message: []byte{1}}); err != nil {
		t.Fatal(err)
	}
	if err := g.run(t.Context()); !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}
