package event

import (
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newLog returns a log of n services, whose IDs count from 0 and whose times are
// 10 times that. Its clock can be set.
func newLog(n int) (l *Log, clock *int64) {
	clock = new(int64)
	l = NewLog(func() int64 { return *clock })
	for i := range n {
		*clock = int64(10 * i)
		l.Service(service.Change{ID: uint32(i)})
	}
	return l, clock
}

// ids are those of the services that events tell of.
func ids(events []Event) (all []uint32) {
	for _, e := range events {
		all = append(all, e.What.(service.Change).ID)
	}
	return all
}

func TestRead(t *testing.T) {
	const overwritten = 3
	for name, tt := range map[string]struct {
		events       int
		n, end       uint64
		room         int
		first, count int
		next         uint64
	}{
		"nothing there":         {0, 0, 9, 4, 0, 0, 0},
		"all":                   {3, 0, 9, 4, 0, 3, 3},
		"as many as have room":  {9, 0, 9, 4, 0, 4, 4},
		"from one on":           {9, 7, 9, 4, 7, 2, 9},
		"up to one":             {9, 5, 7, 4, 5, 2, 7},
		"nothing new":           {9, 9, 99, 4, 0, 0, 9},
		"no room":               {9, 5, 9, 0, 0, 0, 5},
		"those left":            {Size + overwritten, 0, Size, 2, overwritten, 2, overwritten + 2},
		"none left up to one":   {Size + overwritten, 0, 2, 4, 0, 0, overwritten},
		"across the ring's end": {Size + overwritten, Size - 1, Size + 9, 9, Size - 1, overwritten + 1, Size + overwritten},
	} {
		t.Run(name, func(t *testing.T) {
			l, _ := newLog(tt.events)
			buf := make([]Event, tt.room)
			read, next := l.Read(tt.n, tt.end, buf)
			var want []uint32
			for i := range tt.count {
				want = append(want, uint32(tt.first+i))
			}
			if diff := cmp.Diff(want, ids(buf[:read])); diff != "" || next != tt.next {
				t.Errorf("next %d, want %d; events %s", next, tt.next, diff)
			}
		})
	}
}

func TestSince(t *testing.T) {
	for name, tt := range map[string]struct {
		events int
		at     int64
		want   uint64
	}{
		"nothing there":   {0, 5, 0},
		"before all":      {3, -1, 0},
		"at one":          {3, 10, 1},
		"between":         {3, 11, 2},
		"after all":       {3, 21, 3},
		"overwritten":     {Size + 3, 0, 3},
		"the oldest left": {Size + 3, 30, 3},
		"the newest":      {Size + 3, 10 * (Size + 2), Size + 2},
		"after the ring":  {Size + 3, 10*(Size+2) + 1, Size + 3},
	} {
		l, _ := newLog(tt.events)
		if got := l.Since(tt.at); got != tt.want {
			t.Errorf("%s: got %d, want %d", name, got, tt.want)
		}
		oldest, next := l.Bounds()
		if want := uint64(max(0, tt.events-Size)); oldest != want || next != uint64(tt.events) {
			t.Errorf("%s: from %d to %d", name, oldest, next)
		}
	}
}

// TestAdd has an event of each kind, and a clock that is set back meanwhile.
func TestAdd(t *testing.T) {
	l, clock := newLog(0)
	web := &endpoint.Endpoint{Pod: "web"}
	*clock = 30
	l.Started()
	*clock = 20
	l.Endpoint(endpoint.Change{After: web})
	*clock = 40
	l.Service(service.Change{ID: 7, Gone: true})
	l.Policy(Policy{Name: "deny", Rules: 2, Revision: 9})
	l.Policy(Policy{Name: "deny", Gone: true})
	buf := make([]Event, 9)
	read, _ := l.Read(0, 9, buf)
	want := []Event{
		{30, Started{}}, {30, endpoint.Change{After: web}}, {40, service.Change{ID: 7, Gone: true}},
		{40, Policy{Name: "deny", Rules: 2, Revision: 1}}, {40, Policy{Name: "deny", Revision: 2, Gone: true}},
	}
	if !slices.Equal(want, buf[:read]) {
		t.Errorf("got %+v, want %+v", buf[:read], want)
	}
}

// TestReaders has some that wait for each event beside several who add them.
// All is read once, in the order of the times.
func TestReaders(t *testing.T) {
	const writers, events, readers = 3, 500, 4
	var clock int64
	l := NewLog(func() int64 { clock++; return clock }) // called while it is locked
	var running sync.WaitGroup
	for w := range writers {
		running.Go(func() {
			for i := range events {
				l.Service(service.Change{ID: uint32(w*events + i)})
			}
		})
	}
	for range readers {
		running.Go(func() {
			var all []Event
			buf := make([]Event, 7)
			for next := uint64(0); next < writers*events; {
				changed := l.Changed()
				var read int
				if read, next = l.Read(next, writers*events, buf); read == 0 {
					<-changed
				}
				all = append(all, buf[:read]...)
			}
			if !slices.IsSortedFunc(all, func(a, b Event) int { return int(a.Time - b.Time) }) {
				t.Error("not in the order of times")
			}
			got := ids(all)
			slices.Sort(got)
			if len(got) != writers*events || len(slices.Compact(got)) != writers*events {
				t.Errorf("%d events, want %d different ones", len(got), writers*events)
			}
		})
	}
	running.Wait()
}
