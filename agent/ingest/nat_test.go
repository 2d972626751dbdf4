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

// tracking answers for the kernel: it translates connections to 10.96.0.1, and
// those that are listed, after it was asked about some of them so many times.
type tracking struct {
	server string
	after  int
	asked  int
	// list has connections by how one end sends to the other, as "a b": the ends
	// of the client's packets as it sent them and as they went on.
	list map[string][4]string
}

func (k *tracking) translate(list []bpf.FoveaTranslation) {
	k.asked++
	if k.asked <= k.after {
		return
	}
	for i := range list {
		t := &list[i]
		if c, ok := k.list[textOf(t.Src)+" "+textOf(t.Dst)]; ok {
			t.Found, t.SentSrc, t.SentDst = 1, parseEnd(c[0]), parseEnd(c[1])
			t.WentSrc, t.WentDst = parseEnd(c[2]), parseEnd(c[3])
			continue
		}
		t.Found, t.SentSrc, t.WentSrc, t.SentDst, t.WentDst = 1, t.Src, t.Src, t.Dst, t.Dst
		if textOf(t.Dst) == "10.96.0.1:80" {
			t.WentDst = endOf(netip.MustParseAddr(k.server).As16(), 8080)
		}
	}
}

func textOf(e bpf.FoveaEnd) string {
	return netip.AddrPortFrom(netip.AddrFrom16(addressOf(&e)).Unmap(), e.Port).String()
}

func parseEnd(s string) bpf.FoveaEnd {
	a := netip.MustParseAddrPort(s)
	return endOf(a.Addr().As16(), a.Port())
}

// all are the records' ends, in their order.
func (in *Ingest) all(t testing.TB) (lines []string) {
	t.Helper()
	for _, r := range in.records(t) {
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

// TestMasquerade checks that a client is told where the node puts an address of its
// own in the place of the client's.
func TestMasquerade(t *testing.T) {
	const node, outside = "192.0.2.1:2000", "198.51.100.9:443"
	const web = "10.1.0.1:80"
	forward, reply := uint8(bpf.FoveaReplyREPLY_NO), uint8(bpf.FoveaReplyREPLY_YES)
	kernel := &tracking{server: "10.1.0.3", list: map[string][4]string{
		"10.1.0.1:40000 198.51.100.9:443": {"10.1.0.1:40000", outside, node, outside},
		web + " " + node:                  {"198.51.100.9:5555", "192.0.2.1:31000", node, web},
		// A pod that talks to itself by its service.
		"10.1.0.1:40001 10.96.0.1:80": {"10.1.0.1:40001", "10.96.0.1:80", "192.0.2.1:2001", web},
		web + " 192.0.2.1:2001":       {"10.1.0.1:40001", "10.96.0.1:80", "192.0.2.1:2001", web},
		// From a port that a service has at every node.
		web + " 192.0.2.1:31000": {"198.51.100.9:5556", "192.0.2.1:3080", "192.0.2.1:31000", web},
	}}
	for _, c := range []struct {
		name, src, dst string
		flags, reply   uint8
		want           string
	}{
		{"from a pod to the world", "10.1.0.1:40000", outside, from | local, forward,
			"10.1.0.1:40000 shop/web -> 198.51.100.9:443 reserved:world as 192.0.2.1"},
		{"its answer", outside, "10.1.0.1:40000", local, reply,
			"198.51.100.9:443 reserved:world -> 10.1.0.1:40000 shop/web"},
		{"from the world to a pod", node, web, local, forward,
			"198.51.100.9:5555 reserved:world -> 10.1.0.1:80 shop/web as 192.0.2.1"},
		{"its answer", web, node, from | local, reply,
			"10.1.0.1:80 shop/web -> 198.51.100.9:5555 reserved:world"},
		{"to itself", "10.1.0.1:40001", "10.96.0.1:80", from | local, forward,
			"10.1.0.1:40001 shop/web -> 10.96.0.1:80 shop/web of a service as 192.0.2.1"},
		{"from itself", "192.0.2.1:2001", web, local, forward,
			"10.1.0.1:40001 shop/web -> 10.1.0.1:80 shop/web as 192.0.2.1"},
		{"to itself again", web, "192.0.2.1:2001", from | local, reply,
			"10.1.0.1:80 shop/web -> 10.1.0.1:40001 shop/web"},
		{"from itself again", "10.96.0.1:80", "10.1.0.1:40001", local, reply,
			"10.96.0.1:80 shop/web of a service -> 10.1.0.1:40001 shop/web"},
		{"from a port of a service", "192.0.2.1:31000", web, local, forward,
			"198.51.100.9:5556 reserved:world -> 10.1.0.1:80 shop/web as 192.0.2.1"},
		{"from the node itself", "192.0.2.1:50000", web, local, forward,
			"192.0.2.1:50000 reserved:host -> 10.1.0.1:80 shop/web"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := newIngest(t)
			in.Translate = kernel.translate
			e := eventOf(c.src, c.dst, ifWeb, c.flags)
			e.Cause, e.Reply = uint8(bpf.FoveaEventCauseCAUSE_NEW), c.reply
			in.Event(e, second(1))
			in.Flush(second(2))
			if got := in.whole(t); got != c.want {
				t.Errorf("asked for:\n got %s\nwant %s", got, c.want)
			}
			// What is known by now is told at once.
			e.Cause = uint8(bpf.FoveaEventCauseCAUSE_INTERVAL)
			in.Event(e, second(3))
			if got := in.whole(t); got != c.want || in.History.Next() != 2 {
				t.Errorf("again, as record %d:\n got %s\nwant %s", in.History.Next(), got, c.want)
			}
		})
	}
}

// whole is the newest record with its addresses.
func (in *Ingest) whole(t testing.TB) string {
	t.Helper()
	r := in.last(t)
	end := func(a [16]byte, port uint16, number, service uint32) string {
		s := fmt.Sprintf("%v %v", netip.AddrPortFrom(netip.AddrFrom16(a).Unmap(), port), in.Endpoints.At(endpoint.Number(number)))
		if service != 0 {
			s += " of a service"
		}
		return s
	}
	s := end(r.Src, r.SrcPort, r.Source, r.SourceService) + " -> " + end(r.Dst, r.DstPort, r.Destination, r.DestinationService)
	if a := in.Fates.At(r.Fate).Source; a.IsValid() {
		s += " as " + a.String()
	}
	return s
}

// TestHeldIsUsed checks that what a record needs that is held back is not given to
// others meanwhile.
func TestHeldIsUsed(t *testing.T) {
	in := newIngest(t)
	n := in.Endpoints.Hold(endpoint.ForPod("prod", "shop", "gone", nil, nil))
	in.nat.held = append(in.nat.held, held{record: history.Record{Source: uint32(n)}})
	in.Endpoints.Drop(n)
	in.release()
	if got := in.Endpoints.At(n).Pod; got != "gone" {
		t.Errorf("the record is of pod %q now", got)
	}
	in.nat.held = nil
	in.release()
	if got := in.Endpoints.At(n).Pod; got != "" {
		t.Errorf("pod %q is kept", got)
	}
}

// TestNetworkIsNotAsked checks that what is seen at the network is told at once.
func TestNetworkIsNotAsked(t *testing.T) {
	in, kernel := newIngest(t), &tracking{server: "10.1.0.3"}
	in.Translate = kernel.translate
	e := eventOf("192.0.2.1:40000", "198.51.100.9:443", 2, from|local|network)
	e.Cause = uint8(bpf.FoveaEventCauseCAUSE_NEW)
	in.Event(e, second(1))
	want := "192.0.2.1:40000 reserved:host -> 198.51.100.9:443 reserved:world"
	if got := in.whole(t); got != want || kernel.asked > 0 {
		t.Errorf("asked %d times:\n got %s\nwant %s", kernel.asked, got, want)
	}
}
