package observer

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/fovea-obs/fovea/agent/dns"
	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/fate"
	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/agent/mac"
	"github.com/fovea-obs/fovea/agent/observer/lookup"
	"github.com/fovea-obs/fovea/agent/policy"
	"github.com/fovea-obs/fovea/agent/service"
	"github.com/fovea-obs/fovea/internal/rpc"
)

// fixture is a server over a small history. Record i is written at second i+1
// after 1970, and its clock is 30 s after the last one.
type fixture struct {
	history   *history.History
	endpoints *endpoint.Table
	services  *service.Table
	fqdns     *dns.Table
	fates     *fate.Table
	macs      *mac.Table
	policies  *policy.Table
	config    Config
	server    *Server

	known     map[string]endpoint.Number
	addresses map[string]string
	frontends map[service.Frontend]service.Name
	written   atomic.Int64
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	h, err := history.New(history.MinSize)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{
		history: h, endpoints: endpoint.NewTable("prod"), fqdns: dns.NewTable(), fates: fate.NewTable(), macs: mac.NewTable(),
		known:     map[string]endpoint.Number{"world": endpoint.World, "host": endpoint.Host},
		addresses: map[string]string{},
		frontends: map[service.Frontend]service.Name{},
	}
	f.services = service.NewTable("prod", f.endpoints)
	f.policies = policy.NewTable(f.endpoints)
	f.config = Config{
		History: h, Endpoints: f.endpoints, Services: f.services, Names: f.fqdns, Fates: f.fates, MACs: f.macs, Policies: f.policies,
		NodeName: "node-1.example.com", Cluster: "prod", Version: "0.1.0", Address: "192.0.2.1",
		Instance: [8]byte{0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10},
		Started:  time.Unix(0, 0),
		Now:      func() time.Time { return time.Unix(f.written.Load()+30, 0) },
		InterfaceName: func(index uint32) string {
			return map[uint32]string{7: "veth7", 8: "veth8"}[index]
		},
		ReasonName: func(reason uint32) string {
			return map[uint32]string{12: "NETFILTER_DROP", 14: "IP_CSUM"}[reason]
		},
		Symbol: func(address uint64) string {
			return map[uint64]string{0x1000: "nft_do_chain"}[address]
		},
	}
	f.restart()
	return f
}

// restart makes a new server of the config.
func (f *fixture) restart() { f.server = New(f.config) }

// pod makes a pod known: namespace/name with an address, labels and workload.
func (f *fixture) pod(name, address string, workload endpoint.Workload, labels map[string]string) {
	namespace, pod, _ := strings.Cut(name, "/")
	e := endpoint.ForPod("prod", namespace, pod, labels, []endpoint.Workload{workload})
	f.known[name] = f.endpoints.Hold(e)
	f.addresses[name] = address
}

// service makes a service known, which has a number and an endpoint of its own.
func (f *fixture) service(name, address string) {
	namespace, plain, _ := strings.Cut(name, "/")
	f.known[name] = f.endpoints.Hold(endpoint.ForService("prod", namespace, plain))
	f.addresses[name] = address
	f.frontends[service.Frontend{Address: netip.MustParseAddr(address)}] = service.Name{Namespace: namespace, Name: plain}
	f.services.Replace(f.frontends)
}

// write appends records, one a line, as record reads them.
func (f *fixture) write(t testing.TB, lines ...string) {
	t.Helper()
	for _, line := range lines {
		r, err := f.record(line)
		if err != nil {
			t.Fatalf("record %q: %v", line, err)
		}
		f.append(r)
	}
	f.history.Notify()
}

func (f *fixture) append(r history.Record) {
	r.Time = f.written.Add(1) * int64(time.Second)
	f.history.Append(&r)
}

// record reads a record:
//
//	lost 5 cpu=1
//	[drop|verdict] tcp shop/web:34000 -> 192.0.2.7:80 [option]...
//
// The options allow=ns/name,... and deny=ns/name,... are policies that do so, at the
// source's end if the record is egress.
func (f *fixture) record(line string) (history.Record, error) {
	r := history.Record{Kind: history.KindTrace, Verdict: uint8(flowpb.Verdict_FORWARDED), Packets: 1, Bytes: 60}
	words := strings.Fields(line)
	switch words[0] {
	case "lost":
		r = history.Record{Kind: history.KindLost}
		n, err := strconv.Atoi(words[1])
		r.Packets = uint32(n)
		return r, joinErrors(err, f.options(&r, words[2:]))
	case "drop":
		r.Kind, r.Verdict = history.KindDrop, uint8(flowpb.Verdict_DROPPED)
		words = words[1:]
	case "verdict":
		r.Kind, r.Packets, r.Bytes = history.KindPolicy, 0, 0
		words = words[1:]
	}
	if len(words) < 4 || words[2] != "->" {
		return r, fmt.Errorf("not of the form protocol source -> destination")
	}
	protocol, ok := map[string]uint8{
		"tcp": 6, "udp": 17, "sctp": 132, "icmp": 1, "icmpv6": 58, "igmp": 2, "vrrp": 112, "gre": 47,
	}[words[0]]
	if !ok {
		return r, fmt.Errorf("unknown protocol")
	}
	r.Protocol = protocol
	var err1, err2 error
	r.Source, r.SourceService, r.Src, r.SrcPort, err1 = f.end(words[1], &r)
	r.Destination, r.DestinationService, r.Dst, r.DstPort, err2 = f.end(words[3], &r)
	r.Names = f.fqdns.Lookup(netip.AddrFrom16(r.Src), netip.AddrFrom16(r.Dst))
	return r, joinErrors(err1, err2, f.options(&r, words[4:]))
}

func (f *fixture) end(s string, r *history.Record) (number, svc uint32, address [16]byte, port uint16, err error) {
	name := s
	if host, p, err := net.SplitHostPort(s); err == nil {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil {
			return 0, 0, address, 0, err
		}
		name, port = host, uint16(n)
	}
	who, known := f.known[name]
	if known {
		name = f.addresses[name]
	} else {
		who = endpoint.World
	}
	a, err := netip.ParseAddr(name)
	if err != nil {
		return 0, 0, address, 0, err
	}
	if a.Is6() {
		r.Flags |= history.FlagIPv6
	}
	return uint32(who), uint32(f.services.Lookup(a, port, r.Protocol)), a.As16(), port, nil
}

func (f *fixture) options(r *history.Record, words []string) error {
	var what fate.Fate
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		n, err := strconv.ParseUint(value, 0, 64)
		switch key {
		case "flags":
			for _, name := range strings.Split(value, ",") {
				i := slices.Index([]string{"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "NS"}, name)
				if i < 0 {
					return fmt.Errorf("unknown TCP flag %q", name)
				}
				r.TCPFlags |= 1 << i
			}
			continue
		case "from":
			r.Flags |= history.FlagFromEndpoint
			continue
		case "forward":
			r.Flags |= history.FlagReplyKnown
			continue
		case "reply":
			r.Flags |= history.FlagReplyKnown | history.FlagReply
			continue
		case "guessed":
			r.Flags |= history.FlagGuessed
			continue
		case "noports":
			r.Flags |= history.FlagNoPorts
			continue
		case "ingress":
			r.Direction = uint8(flowpb.TrafficDirection_INGRESS)
			continue
		case "egress":
			r.Direction = uint8(flowpb.TrafficDirection_EGRESS)
			continue
		case "xlated":
			if what.Source, err = netip.ParseAddr(value); err != nil {
				return fmt.Errorf("option %s: %w", w, err)
			}
			continue
		case "allow", "deny":
			what.Policy = f.verdict(r, key == "allow", strings.Split(value, ","))
			what.Egress = r.Direction == uint8(flowpb.TrafficDirection_EGRESS)
			what.Ingress = !what.Egress
			if key == "deny" {
				r.Verdict = uint8(flowpb.Verdict_DROPPED)
			}
			continue
		case "mac":
			r.MACs = f.macs.Number(mac.Pair{Source: [6]byte{2, 0, 0, 0, 0, 1}, Destination: [6]byte{2, 0, 0, 0, 0, 2}})
			continue
		case "interface":
			r.Interface = uint32(n)
		case "reason":
			what.Reason = uint32(n)
		case "at":
			what.Location = n
		case "cpu":
			r.Interface = uint32(n)
		case "packets":
			r.Packets = uint32(n)
		case "bytes":
			r.Bytes = n
		default:
			return fmt.Errorf("unknown option %q", key)
		}
		if err != nil {
			return fmt.Errorf("option %s: %w", w, err)
		}
	}
	if what != (fate.Fate{}) || r.Kind == history.KindDrop {
		r.Fate = f.fates.Number(what)
	}
	return nil
}

// verdict returns what policies say that allow what is sent to port 80, or nothing.
func (f *fixture) verdict(r *history.Record, allow bool, names []string) policy.Number {
	part := policy.Part{Applies: true}
	if allow {
		part.Rules = []policy.Rule{{Ports: []policy.Port{{First: 80, Last: 80}}}}
	}
	for _, name := range names {
		namespace, plain, _ := strings.Cut(name, "/")
		f.policies.Set(policy.Policy{
			Ref:     policy.Ref{Kind: policy.Network, Namespace: namespace, Name: plain},
			Subject: policy.Pods{Namespace: namespace}, Ingress: part, Egress: part,
		})
	}
	defer f.policies.Replace(policy.Network, nil)
	return f.policies.Judge(policy.Query{
		Source: endpoint.Number(r.Source), Destination: endpoint.Number(r.Destination), Protocol: r.Protocol, DestinationPort: r.DstPort,
	})
}

func joinErrors(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// stream is the server's side of a call without a connection.
type stream struct {
	grpc.ServerStreamingServer[observerpb.GetFlowsResponse]
	ctx  context.Context
	send func(*observerpb.GetFlowsResponse) error
}

func (s *stream) Context() context.Context { return s.ctx }

// SendMsg reads the bytes as a client does.
func (s *stream) SendMsg(m any) error {
	r := &observerpb.GetFlowsResponse{}
	if err := proto.Unmarshal(m.(*rpc.Wire).Bytes, r); err != nil {
		return err
	}
	return s.send(r)
}

// get runs a request to its end.
func (f *fixture) get(ctx context.Context, req *observerpb.GetFlowsRequest) ([]*observerpb.GetFlowsResponse, error) {
	var out []*observerpb.GetFlowsResponse
	err := f.server.GetFlows(req, &stream{ctx: ctx, send: func(r *observerpb.GetFlowsResponse) error {
		out = append(out, r)
		return nil
	}})
	return out, err
}

// sequence is the sequence number of a flow.
func (f *fixture) sequence(t testing.TB, flow *flowpb.Flow) uint64 {
	t.Helper()
	instance, n, ok := lookup.ParseUUID(flow.GetUuid())
	if !ok || instance != f.config.Instance {
		t.Fatalf("uuid %q is not one of this server", flow.GetUuid())
	}
	return n
}
