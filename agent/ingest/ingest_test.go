package ingest

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fovea-obs/fovea/agent/dns"
	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/fate"
	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/agent/mac"
	"github.com/fovea-obs/fovea/agent/policy"
	"github.com/fovea-obs/fovea/agent/service"
	"github.com/fovea-obs/fovea/bpf"
)

const (
	tcp  = 6
	udp  = 17
	icmp = 1
)

// Bits of an event, as the kernel has them.
const (
	from    = uint8(bpf.FoveaEventFlagFLAG_FROM_ENDPOINT)
	noPorts = uint8(bpf.FoveaEventFlagFLAG_NO_PORTS)
	ipv6    = uint8(bpf.FoveaEventFlagFLAG_IPV6)
	guessed = uint8(bpf.FoveaEventFlagFLAG_GUESSED)
	local   = uint8(bpf.FoveaEventFlagFLAG_LOCAL)
	network = uint8(bpf.FoveaEventFlagFLAG_NETWORK)
)

// reasonNetfilter is that of a drop that policies may explain.
const reasonNetfilter = 12

// Interfaces of the fixture.
const (
	ifWeb     = 7
	ifDB      = 8
	ifNobody  = 9  // leads to an endpoint that nobody knows
	ifUnknown = 10 // was never told of
)

// newIngest returns an ingest with the tables of a small node: shop/web and
// shop/db are behind interfaces, shop/api is on another node. 10.1.0.66 was
// shop/old's until second 100, and is shop/new's from then on.
func newIngest(t testing.TB) *Ingest {
	t.Helper()
	h, err := history.New(history.MinSize)
	if err != nil {
		t.Fatal(err)
	}
	in := &Ingest{History: h, Endpoints: endpoint.NewTable("prod"), Names: dns.NewTable(), Fates: fate.NewTable(), MACs: mac.NewTable()}
	in.Services = service.NewTable("prod", in.Endpoints)
	in.Policies = policy.NewTable(in.Endpoints)
	in.MayBePolicy = func(reason uint32, _ uint64) bool { return reason == reasonNetfilter }
	set := func(pod, iface, address string, at int64) {
		in.Endpoints.Set(pod, endpoint.Binding{
			Endpoint:  endpoint.ForPod("prod", "shop", pod, nil, nil),
			Interface: iface, Addresses: []netip.Addr{netip.MustParseAddr(address)},
		}, at)
	}
	in.Endpoints.LinkUp(ifWeb, "veth-web")
	in.Endpoints.LinkUp(ifDB, "veth-db")
	in.Endpoints.LinkUp(ifNobody, "veth-new")
	set("web", "veth-web", "10.1.0.1", 0)
	set("db", "veth-db", "fd00::2", 0)
	set("api", "", "10.1.0.3", 0)
	set("old", "", "10.1.0.66", 0)
	in.Endpoints.Remove("old", second(100))
	set("new", "", "10.1.0.66", second(100))
	in.Endpoints.SetHostAddresses([]netip.Addr{netip.MustParseAddr("192.0.2.1")})

	frontend := func(address string, port uint16, protocol uint8) service.Frontend {
		return service.Frontend{Address: netip.MustParseAddr(address), Port: port, Protocol: protocol}
	}
	named := func(name string) service.Name { return service.Name{Namespace: "shop", Name: name} }
	in.Services.Replace(map[service.Frontend]service.Name{
		frontend("10.96.0.1", 80, tcp):   named("web"),
		frontend("10.96.0.53", 0, 0):     named("dns"),
		frontend("192.0.2.1", 3080, tcp): named("web"),
		frontend("::", 31000, tcp):       named("web"),
	})
	return in
}

func second(n int64) int64 { return n * 1e9 }

// words are an address as events hold it.
func words(address string) (w [4]uint32) {
	a := netip.MustParseAddr(address).As16()
	for i := range w {
		w[i] = binary.NativeEndian.Uint32(a[4*i:])
	}
	return w
}

// eventOf is a TCP event of a trace between two addresses and ports.
func eventOf(src, dst string, iface uint32, flags uint8) *bpf.FoveaEvent {
	s, d := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	e := &bpf.FoveaEvent{
		Kind: uint8(bpf.FoveaEventKindEVENT_TRACE), Protocol: tcp, Ifindex: iface, Flags: flags,
		Sport: s.Port(), Dport: d.Port(),
	}
	e.Src.Words, e.Dst.Words = words(s.Addr().String()), words(d.Addr().String())
	return e
}

// last is the newest record.
func (in *Ingest) last(t testing.TB) history.Record {
	t.Helper()
	return in.at(t, in.History.Next()-1)
}

// records are all, in their order.
func (in *Ingest) records(t testing.TB) (all []history.Record) {
	t.Helper()
	for n := in.History.Oldest(); n < in.History.Next(); n++ {
		all = append(all, in.at(t, n))
	}
	return all
}

// at is the record with a sequence number.
func (in *Ingest) at(t testing.TB, n uint64) (r history.Record) {
	t.Helper()
	s, err := in.History.Segment(n)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Release()
	s.Record(int(n-s.First), &r)
	return r
}

// TestFields has every field of an event, and of the record it becomes.
func TestFields(t *testing.T) {
	event := bpf.FoveaEvent{
		Time: 1, Packets: 2, Bytes: 3, Location: 4, Ifindex: ifUnknown, DropReason: 6,
		Sport: 7, Dport: 8, TcpFlags: 0x109, Protocol: tcp, Cause: 5, Pad: 9,
		Kind:   uint8(bpf.FoveaEventKindEVENT_TRACE),
		SrcMac: [6]uint8{2, 0, 0, 0, 0, 1}, DstMac: [6]uint8{2, 0, 0, 0, 0, 2},
	}
	event.Src.Words, event.Dst.Words = words("198.51.100.1"), words("198.51.100.2")
	record := history.Record{
		Time: 1000, Packets: 2, Bytes: 3, Interface: ifUnknown,
		Src: netip.MustParseAddr("198.51.100.1").As16(), Dst: netip.MustParseAddr("198.51.100.2").As16(),
		Source: uint32(endpoint.World), Destination: uint32(endpoint.World),
		SrcPort: 7, DstPort: 8, TCPFlags: 0x109, Protocol: tcp, Verdict: 1, Kind: history.KindTrace,
		MACs: 1,
	}
	for name, change := range map[string]func(*bpf.FoveaEvent, *history.Record){
		"trace": func(*bpf.FoveaEvent, *history.Record) {},
		"drop": func(e *bpf.FoveaEvent, r *history.Record) {
			e.Kind = uint8(bpf.FoveaEventKindEVENT_DROP)
			// The first drop there is.
			r.Kind, r.Verdict, r.Fate = history.KindDrop, 2, 1
		},
		"IPv6": func(e *bpf.FoveaEvent, r *history.Record) {
			e.Flags, r.Flags = ipv6, history.FlagIPv6
			e.Src.Words, e.Dst.Words = words("2001:db8::1"), words("2001:db8:1:2:3:4:5:6")
			r.Src, r.Dst = netip.MustParseAddr("2001:db8::1").As16(), netip.MustParseAddr("2001:db8:1:2:3:4:5:6").As16()
		},
		"no ports": func(e *bpf.FoveaEvent, r *history.Record) { e.Flags, r.Flags = noPorts, history.FlagNoPorts },
		"from":     func(e *bpf.FoveaEvent, r *history.Record) { e.Flags, r.Flags = from, history.FlagFromEndpoint },
		"local":    func(e *bpf.FoveaEvent, r *history.Record) { e.Flags, r.Flags = local, history.FlagLocal },
		"network":  func(e *bpf.FoveaEvent, r *history.Record) { e.Flags, r.Flags = network, history.FlagNetwork },
		"request": func(e *bpf.FoveaEvent, r *history.Record) {
			e.Reply, r.Flags = uint8(bpf.FoveaReplyREPLY_NO), history.FlagReplyKnown
		},
		"guessed reply": func(e *bpf.FoveaEvent, r *history.Record) {
			e.Flags, e.Reply = guessed, uint8(bpf.FoveaReplyREPLY_YES)
			r.Flags = history.FlagGuessed | history.FlagReplyKnown | history.FlagReply
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := newIngest(t)
			e, want := event, record
			change(&e, &want)
			// What was there before leaves no trace.
			in.Lost(3, 4, 5)
			in.Event(&e, 1000)
			if diff := cmp.Diff(want, in.last(t)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestDirection has the way of a packet, and what is known of its connection.
func TestDirection(t *testing.T) {
	const unknown, ingress, egress = 0, 1, 2
	for _, tt := range []struct {
		flags uint8
		reply bpf.FoveaReply
		want  uint8
	}{
		{local, bpf.FoveaReplyREPLY_UNKNOWN, unknown},
		{local, bpf.FoveaReplyREPLY_NO, ingress},
		{local, bpf.FoveaReplyREPLY_YES, egress},
		{local | from, bpf.FoveaReplyREPLY_UNKNOWN, unknown},
		{local | from, bpf.FoveaReplyREPLY_NO, egress},
		{local | from, bpf.FoveaReplyREPLY_YES, ingress},
		{local | from | guessed, bpf.FoveaReplyREPLY_NO, egress},
		{0, bpf.FoveaReplyREPLY_UNKNOWN, unknown},
		{0, bpf.FoveaReplyREPLY_NO, unknown},
		{from, bpf.FoveaReplyREPLY_NO, unknown},
		{from, bpf.FoveaReplyREPLY_YES, unknown},
	} {
		in := newIngest(t)
		e := eventOf("10.1.0.1:1", "10.1.0.3:2", ifWeb, tt.flags)
		e.Reply = uint8(tt.reply)
		in.Event(e, second(1))
		if r := in.last(t); r.Direction != tt.want {
			t.Errorf("flags %#x, reply %d: direction %d, want %d", tt.flags, tt.reply, r.Direction, tt.want)
		}
	}
}

// TestDirectionOfDrops has drops where no endpoint is: at the network's interface, or
// at none.
func TestDirectionOfDrops(t *testing.T) {
	const unknown, ingress, egress = 0, 1, 2
	const here, node, elsewhere = "10.1.0.1:1", "192.0.2.1:1", "10.1.0.3:1"
	for _, tt := range []struct {
		src, dst string
		reply    bpf.FoveaReply
		want     uint8
	}{
		{here, elsewhere, bpf.FoveaReplyREPLY_NO, egress},
		{here, elsewhere, bpf.FoveaReplyREPLY_YES, ingress},
		{elsewhere, here, bpf.FoveaReplyREPLY_NO, ingress},
		{elsewhere, here, bpf.FoveaReplyREPLY_YES, egress},
		{elsewhere, here, bpf.FoveaReplyREPLY_UNKNOWN, unknown},
		{elsewhere, node, bpf.FoveaReplyREPLY_NO, ingress},
		{node, elsewhere, bpf.FoveaReplyREPLY_NO, egress},
		{here, node, bpf.FoveaReplyREPLY_NO, unknown},
		{elsewhere, elsewhere, bpf.FoveaReplyREPLY_NO, unknown},
	} {
		in := newIngest(t)
		e := eventOf(tt.src, tt.dst, ifUnknown, from)
		e.Kind, e.Reply = uint8(bpf.FoveaEventKindEVENT_DROP), uint8(tt.reply)
		in.Event(e, second(1))
		if r := in.last(t); r.Direction != tt.want {
			t.Errorf("%s to %s, reply %d: direction %d, want %d", tt.src, tt.dst, tt.reply, r.Direction, tt.want)
		}
	}
}

// TestNames has who the two ends of a packet are, and which service each is.
func TestNames(t *testing.T) {
	const world, host, unmanaged = "reserved:world", "reserved:host", "reserved:unmanaged"
	for name, tt := range map[string]struct {
		src, dst string
		iface    uint32
		flags    uint8
		protocol uint8
		at       int64
		want     string
	}{
		"sent by a pod":               {"10.1.0.1:4000", "10.1.0.3:80", ifWeb, local | from, tcp, 1, "shop/web > shop/api"},
		"sent to a pod":               {"10.1.0.3:4000", "10.1.0.1:80", ifWeb, local, tcp, 1, "shop/api > shop/web"},
		"IPv6":                        {"[fd00::2]:4000", "[fd00::3]:80", ifDB, local | from | ipv6, tcp, 1, "shop/db > " + world},
		"host":                        {"192.0.2.1:4000", "10.1.0.1:80", ifWeb, local, tcp, 1, host + " > shop/web"},
		"interface beats source":      {"10.1.0.3:4000", "10.1.0.66:80", ifWeb, local | from, tcp, 1, "shop/web > shop/old"},
		"interface beats destination": {"10.1.0.66:4000", "10.1.0.3:80", ifWeb, local, tcp, 1, "shop/old > shop/web"},
		"interface beats service":     {"10.96.0.53:53", "10.1.0.3:80", ifWeb, local | from, udp, 1, "shop/web > shop/api"},
		"interface of nobody":         {"10.1.0.1:4000", "10.1.0.3:80", ifNobody, local | from, tcp, 1, unmanaged + " > shop/api"},
		"interface not known":         {"10.1.0.1:4000", "10.1.0.3:80", ifUnknown, local | from, tcp, 1, "shop/web > shop/api"},
		"to an interface not known":   {"10.1.0.3:4000", "10.1.0.1:80", ifUnknown, local, tcp, 1, "shop/api > shop/web"},
		"interface not local":         {"10.1.0.3:4000", "10.1.0.1:80", ifDB, from, tcp, 1, "shop/api > shop/web"},
		"no interface":                {"10.1.0.3:4000", "198.51.100.1:80", 0, 0, tcp, 1, "shop/api > " + world},
		"the past":                    {"10.1.0.66:4000", "10.1.0.1:80", ifWeb, local, tcp, 99, "shop/old > shop/web"},
		"the present":                 {"10.1.0.66:4000", "10.1.0.1:80", ifWeb, local, tcp, 100, "shop/new > shop/web"},
		"the past, at no interface":   {"10.1.0.66:4000", "10.1.0.66:80", 0, 0, tcp, 99, "shop/old > shop/old"},

		"to a service":              {"10.1.0.1:4000", "10.96.0.1:80", ifWeb, local | from, tcp, 1, "shop/web > shop/web(Service) [web]"},
		"from a service":            {"10.96.0.1:80", "10.1.0.1:4000", ifWeb, local, tcp, 1, "shop/web(Service) [web] > shop/web"},
		"another port":              {"10.1.0.1:4000", "10.96.0.1:81", ifWeb, local | from, tcp, 1, "shop/web > " + world},
		"another protocol":          {"10.1.0.1:4000", "10.96.0.1:80", ifWeb, local | from, udp, 1, "shop/web > " + world},
		"the other end's port":      {"10.1.0.1:80", "10.96.0.1:4000", ifWeb, local | from, tcp, 1, "shop/web > " + world},
		"a service's address":       {"10.1.0.1:8", "10.96.0.53:0", ifWeb, local | from, icmp, 1, "shop/web > shop/dns(Service) [dns]"},
		"a node's port":             {"198.51.100.1:4000", "192.0.2.1:3080", 0, 0, tcp, 1, world + " > shop/web(Service) [web]"},
		"any node's port":           {"198.51.100.1:4000", "192.0.2.1:31000", 0, 0, tcp, 1, world + " > shop/web(Service) [web]"},
		"no node's port":            {"198.51.100.1:4000", "198.51.100.2:31000", 0, 0, tcp, 1, world + " > " + world},
		"a node's other port":       {"198.51.100.1:4000", "192.0.2.1:3081", 0, 0, tcp, 1, world + " > " + host},
		"services, no interface":    {"10.96.0.53:53", "10.96.0.1:80", 0, from, tcp, 1, "shop/dns(Service) [dns] > shop/web(Service) [web]"},
		"a service to a pod":        {"10.96.0.53:53", "10.1.0.1:80", ifUnknown, local, tcp, 1, "shop/dns(Service) [dns] > shop/web"},
		"a service as the near end": {"10.96.0.53:53", "10.1.0.3:80", ifUnknown, local | from, tcp, 1, "shop/dns(Service) [dns] > shop/api"},
	} {
		t.Run(name, func(t *testing.T) {
			in := newIngest(t)
			e := eventOf(tt.src, tt.dst, tt.iface, tt.flags)
			e.Protocol = tt.protocol
			in.Event(e, second(tt.at))
			r := in.last(t)
			got := fmt.Sprintf("%s > %s", in.who(r.Source, r.SourceService), in.who(r.Destination, r.DestinationService))
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// who names an end, with its service where it has one.
func (in *Ingest) who(number, svc uint32) string {
	s := in.Endpoints.At(endpoint.Number(number)).String()
	if svc != 0 {
		s += " [" + in.Services.At(service.Number(svc)).Name + "]"
	}
	return s
}

// TestLate has an event that comes after one of a later time: its record's time
// is moved, but its ends are who they were.
func TestLate(t *testing.T) {
	in := newIngest(t)
	in.Event(eventOf("10.1.0.66:1", "10.1.0.1:2", ifWeb, local), second(101))
	in.Event(eventOf("10.1.0.66:1", "10.1.0.1:2", ifWeb, local), second(99))
	r := in.last(t)
	if who := in.who(r.Source, 0); who != "shop/old" || r.Time != second(101)+1 {
		t.Errorf("%s at %d, want shop/old at %d", who, r.Time, second(101)+1)
	}
}

// TestSilent has a report of packets that were a while ago: their ends are who
// they were then.
func TestSilent(t *testing.T) {
	in := newIngest(t)
	e := eventOf("10.1.0.66:1", "10.1.0.1:2", ifWeb, local)
	e.Time, e.Seen = uint64(second(7)), uint64(second(2))
	in.Event(e, second(104))
	r := in.last(t)
	if who := in.who(r.Source, 0); who != "shop/old" || r.Time != second(104) {
		t.Errorf("%s at %d, want shop/old at %d", who, r.Time, second(104))
	}
}

func TestLost(t *testing.T) {
	in := newIngest(t)
	// What was there before leaves no trace.
	in.Event(eventOf("10.1.0.1:1", "10.96.0.1:80", ifWeb, local|from), 1)
	in.Lost(300, 1<<20, 1000)
	want := history.Record{Time: 1000, Kind: history.KindLost, Interface: 300, Packets: 1 << 20}
	if diff := cmp.Diff(want, in.last(t)); diff != "" {
		t.Error(diff)
	}
}

// TestNamesOfAddresses has DNS names, which an end has that is nobody's, and that
// no flow of a service has.
func TestNamesOfAddresses(t *testing.T) {
	in := newIngest(t)
	named := func(name string) []string { return []string{name} }
	in.Names.Replace(map[netip.Addr][]string{
		netip.MustParseAddr("203.0.113.7"): named("api.example.com"),
		netip.MustParseAddr("203.0.113.8"): named("www.example.com"),
		netip.MustParseAddr("10.1.0.3"):    named("pod.example.com"),
		netip.MustParseAddr("10.96.0.1"):   named("service.example.com"),
	})
	for name, tt := range map[string]struct {
		src, dst string
		want     dns.Names
	}{
		"world":         {"10.1.0.1:1", "203.0.113.7:443", dns.Names{Destination: named("api.example.com")}},
		"from world":    {"203.0.113.7:443", "10.1.0.1:1", dns.Names{Source: named("api.example.com")}},
		"nameless":      {"10.1.0.1:1", "203.0.113.9:443", dns.Names{}},
		"pod":           {"10.1.0.1:1", "10.1.0.3:80", dns.Names{}},
		"service":       {"10.1.0.1:1", "10.96.0.1:80", dns.Names{}},
		"world to both": {"203.0.113.7:443", "10.96.0.1:80", dns.Names{}},
		"transit": {"203.0.113.7:443", "203.0.113.8:80", dns.Names{
			Source: named("api.example.com"), Destination: named("www.example.com"),
		}},
	} {
		in.Event(eventOf(tt.src, tt.dst, ifUnknown, from), 1)
		if diff := cmp.Diff(tt.want, in.Names.At(in.last(t).Names)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestManyPackets has counts that one record has no room for.
func TestManyPackets(t *testing.T) {
	const packets, bytes = 3<<32 + 5, 7 << 40
	in := newIngest(t)
	e := eventOf("10.1.0.1:1", "10.1.0.3:2", ifWeb, local|from)
	e.Packets, e.Bytes = packets, bytes
	in.Event(e, 1000)
	s, err := in.History.Segment(0)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Release()
	var gotPackets, gotBytes uint64
	for i := range s.Len {
		var r history.Record
		s.Record(i, &r)
		gotPackets, gotBytes = gotPackets+uint64(r.Packets), gotBytes+r.Bytes
		if r.Source != in.last(t).Source || r.SrcPort != 1 {
			t.Errorf("record %d is of another flow", i)
		}
	}
	if gotPackets != packets || gotBytes != bytes {
		t.Errorf("%d packets, %d bytes in %d records, want %d, %d", gotPackets, gotBytes, s.Len, uint64(packets), uint64(bytes))
	}
}

func TestFlush(t *testing.T) {
	in := newIngest(t)
	changed := in.History.Changed()
	in.Event(eventOf("10.1.0.1:1", "10.1.0.3:2", ifWeb, local), 1)
	in.Flush(second(2))
	select {
	case <-changed:
	default:
		t.Error("readers sleep on")
	}
}

func TestAllocations(t *testing.T) {
	in := newIngest(t)
	e := eventOf("10.1.0.1:4000", "10.96.0.1:80", ifWeb, local|from)
	// As many as fill the history, so that it allocates no more.
	events := func() {
		for range 2 * history.ChunkSize {
			in.Event(e, second(1))
		}
		in.Lost(1, 2, second(1))
		in.Flush(second(2))
	}
	events()
	if n := testing.AllocsPerRun(3, events); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
