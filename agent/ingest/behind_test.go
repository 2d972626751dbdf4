package ingest

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/bpf"
)

// tracking answers for the kernel: it translates connections to 10.96.0.1 after
// it was asked about some of them so many times.
type tracking struct {
	server string
	after  int
	asked  int
}

func (k *tracking) translate(list []bpf.FoveaTranslation) {
	k.asked++
	if k.asked <= k.after {
		return
	}
	for i := range list {
		t := &list[i]
		t.Found, t.SentSrc, t.WentSrc, t.SentDst = 1, t.Src, t.Src, t.Dst
		t.WentDst = endOf(netip.MustParseAddr(k.server).As16(), 8080)
	}
}

// all are the records' ends, in their order.
func (in *Ingest) all(t testing.TB) (lines []string) {
	t.Helper()
	for n := in.History.Oldest(); n < in.History.Next(); n++ {
		s, err := in.History.Segment(n)
		if err != nil {
			t.Fatal(err)
		}
		var r history.Record
		s.Record(int(n-s.First), &r)
		s.Release()
		line := "lost"
		if r.Kind != history.KindLost {
			line = fmt.Sprintf("%v -> %v", in.Endpoints.At(endpoint.Number(r.Source)), in.Endpoints.At(endpoint.Number(r.Destination)))
			if v := in.Services.At(1); r.SourceService+r.DestinationService != 0 {
				line += " of " + v.Namespace + "/" + v.Name
			}
		}
		lines = append(lines, line)
	}
	return lines
}

func TestBehindServices(t *testing.T) {
	// later is after all events here.
	const later = int64(1e12)
	const client, front = "10.1.0.1:40000", "10.96.0.1:80"
	first := func(e *bpf.FoveaEvent) *bpf.FoveaEvent {
		e.Cause = uint8(bpf.FoveaEventCauseCAUSE_NEW)
		return e
	}
	request := func() *bpf.FoveaEvent { return eventOf(client, front, ifWeb, from|local) }
	answer := func() *bpf.FoveaEvent { return eventOf(front, client, ifWeb, local) }
	t.Run("found", func(t *testing.T) {
		in, kernel := newIngest(t), &tracking{server: "10.1.0.3"}
		in.Translate = kernel.translate
		in.Event(first(request()), second(1))
		in.Event(first(answer()), second(2))
		if got := in.all(t); len(got) > 0 {
			t.Errorf("before the kernel is asked: %v", got)
		}
		if in.Flush(later) {
			t.Error("more to ask")
		}
		in.Event(request(), second(3))
		want := []string{"shop/web -> shop/api of shop/web", "shop/api -> shop/web of shop/web", "shop/web -> shop/api of shop/web"}
		if diff := cmp.Diff(want, in.all(t)); diff != "" || kernel.asked != 1 {
			t.Errorf("asked %d times: %s", kernel.asked, diff)
		}
	})
	t.Run("found late, in order", func(t *testing.T) {
		in, kernel := newIngest(t), &tracking{server: "10.1.0.3", after: 1}
		in.Translate = kernel.translate
		in.Event(eventOf(client, "10.1.0.3:1", ifWeb, from|local), second(1))
		in.Event(first(request()), second(2))
		in.Event(eventOf(client, "198.51.100.1:1", ifWeb, from|local), second(3))
		in.Lost(0, 1, second(4))
		if !in.Flush(later) {
			t.Error("nothing to ask again")
		}
		if in.Flush(later) {
			t.Error("more to ask")
		}
		want := []string{"shop/web -> shop/api", "shop/web -> shop/api of shop/web", "shop/web -> reserved:world", "lost"}
		if diff := cmp.Diff(want, in.all(t)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("not found", func(t *testing.T) {
		in, kernel := newIngest(t), &tracking{after: 1000}
		in.Translate = kernel.translate
		in.Event(first(request()), second(1))
		for range maxAsks - 1 {
			if !in.Flush(later) {
				t.Error("nothing to ask again")
			}
		}
		in.Flush(later)
		in.Event(request(), second(2))
		want := []string{"shop/web -> shop/web(Service) of shop/web", "shop/web -> shop/web(Service) of shop/web"}
		if diff := cmp.Diff(want, in.all(t)); diff != "" || kernel.asked != maxAsks {
			t.Errorf("asked %d times: %s", kernel.asked, diff)
		}
	})
	t.Run("another connection with the same ports", func(t *testing.T) {
		in, kernel := newIngest(t), &tracking{server: "10.1.0.3"}
		in.Translate = kernel.translate
		in.Event(first(request()), second(1))
		in.Flush(later)
		kernel.server = "10.1.0.66"
		in.Event(first(request()), second(200))
		in.Flush(later)
		want := []string{"shop/web -> shop/api of shop/web", "shop/web -> shop/new of shop/web"}
		if diff := cmp.Diff(want, in.all(t)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("not asked too early", func(t *testing.T) {
		in, kernel := newIngest(t), &tracking{server: "10.1.0.3"}
		in.Translate = kernel.translate
		in.Event(first(request()), second(1))
		e := eventOf("10.1.0.1:40001", front, ifWeb, from|local)
		in.Event(first(e), second(2))
		if !in.Flush(second(1)+askAfter-1) || len(in.all(t)) > 0 {
			t.Errorf("asked at once: %v", in.all(t))
		}
		if !in.Flush(second(2)) || len(in.all(t)) != 1 {
			t.Errorf("of one that is old enough: %v", in.all(t))
		}
		if in.Flush(second(2)+askAfter) || len(in.all(t)) != 2 {
			t.Errorf("in the end: %v", in.all(t))
		}
	})
	t.Run("outside", func(t *testing.T) {
		in, kernel := newIngest(t), &tracking{server: "198.51.100.1"}
		in.Translate = kernel.translate
		in.Event(first(request()), second(1))
		in.Flush(later)
		if diff := cmp.Diff([]string{"shop/web -> shop/web(Service) of shop/web"}, in.all(t)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("many", func(t *testing.T) {
		in, kernel := newIngest(t), &tracking{after: 1 << 30}
		in.Translate = kernel.translate
		in.Event(first(request()), second(1))
		for i := range maxHeld + 1 {
			e := eventOf(fmt.Sprintf("10.1.0.1:%d", 1+i), front, ifWeb, from|local)
			in.Event(first(e), second(2)+int64(i))
		}
		if n := in.History.Next(); n < maxHeld {
			t.Errorf("%d records are held back", maxHeld+2-n)
		}
	})
}

// TestHeldIsUsed checks that what a record needs that is held back is not given to
// others meanwhile.
func TestHeldIsUsed(t *testing.T) {
	in := newIngest(t)
	n := in.Endpoints.Hold(endpoint.ForPod("prod", "shop", "gone", nil, nil))
	in.behind.held = append(in.behind.held, held{record: history.Record{Source: uint32(n)}})
	in.Endpoints.Drop(n)
	in.release()
	if got := in.Endpoints.At(n).Pod; got != "gone" {
		t.Errorf("the record is of pod %q now", got)
	}
	in.behind.held = nil
	in.release()
	if got := in.Endpoints.At(n).Pod; got != "" {
		t.Errorf("pod %q is kept", got)
	}
}
