package observer

import (
	"testing"

	"github.com/fovea-obs/fovea/internal/rpc"
	"github.com/fovea-obs/fovea/relay/ask"
)

func much() told {
	return told{batch: ask.Batch{Items: []ask.Item{{Message: rpc.NewPiece(make([]byte, maxTold+1))}}}}
}

// TestInboxWaits has a source wait until there is room, or it is gone, or all is over.
func TestInboxWaits(t *testing.T) {
	for name, tt := range map[string]struct {
		end  func(*inbox, *source)
		goOn bool
	}{
		"room": {func(i *inbox, s *source) {
			s.took(maxTold + 1)
			i.free(s)
		}, true},
		"gone": {func(i *inbox, s *source) {
			if list := i.leave(s); len(list) > 0 {
				t.Errorf("%d are told twice", len(list))
			}
		}, false},
		"over": {func(i *inbox, _ *source) { i.close() }, false},
	} {
		t.Run(name, func(t *testing.T) {
			var i inbox
			i.init(0)
			s := &source{}
			done := make(chan bool, 1)
			go func() { done <- i.put(s, much()) }()
			<-i.filled
			for _, s := range i.take() {
				if list := i.of(s); len(list) != 1 {
					t.Errorf("%d are told", len(list))
				}
			}
			tt.end(&i, s)
			if goOn := <-done; goOn != tt.goOn {
				t.Errorf("it goes on: %v, want %v", goOn, tt.goOn)
			}
			if name == "gone" && (i.put(s, much()) || len(i.take()) > 0) {
				t.Error("more is taken of it")
			}
		})
	}
}

// TestInboxOfMany has a source that holds much go on while all together hold few items.
func TestInboxOfMany(t *testing.T) {
	var i inbox
	i.init(3)
	s := &source{}
	for range 2 {
		if !i.put(s, much()) {
			t.Fatal("nobody takes any more")
		}
	}
	done := make(chan bool, 1)
	go func() { done <- i.put(s, much()) }()
	<-i.filled
	for n := 0; n < 3; {
		for _, t := range i.of(s) {
			n += len(t.batch.Items)
		}
	}
	select {
	case <-done:
		t.Error("it goes on with three")
	default:
	}
	s.took(maxTold + 1)
	i.free(s)
	if !<-done {
		t.Error("nobody takes any more")
	}
}
