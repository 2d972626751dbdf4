//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	flowpb "github.com/cilium/cilium/api/v1/flow"
)

const (
	// wantFlows is how many flows are held against the truth, at least.
	wantFlows = 20_000
	// maxUnknown is the part of ends that may be told as unknown, minBehind that of
	// connections to services of which the server must be named.
	maxUnknown = 0.005
	minBehind  = 0.999
)

// testNames holds the names of flows against what the API server says, and what
// the workload does.
func testNames(t *testing.T, f *fixture) {
	ctx := testContext(t)
	flows := f.follow(t)
	eventually(ctx, t, func() error {
		if n := flows.count(); n < wantFlows+wantFlows/10 {
			return fmt.Errorf("%d flows", n)
		}
		return nil
	})
	flows.stop()
	check(t, errors.Join(flows.errs...))
	if flows.lost > 0 {
		t.Errorf("%d events were lost", flows.lost)
	}
	v := newVerdict(f.learn(ctx, t))
	v.report(t, flows.flows, wantFlows)
}

// verdict is what came of holding flows against the truth.
type verdict struct {
	*truth
	flows, ends, wrong int
	// unknown is how many ends are told as unknown, by what the truth is.
	unknown map[string]int
	// behind tells of each connection with a service whether its server was named,
	// answered whether there was one: a service may have none for a while.
	behind, answered map[[2]netip.AddrPort]bool
	// unmasked is how many flows tell a client behind an address of their node,
	// unnamedClients how many tell the node in the place of one, own how many were
	// seen at an interface to the network.
	unmasked, unnamedClients, own int
	// unnamed are flows of which it was not, one for each service.
	unnamed map[string]*flowpb.Flow
	// shown are the mistakes, one of each kind.
	shown map[string]string
}

func newVerdict(know *truth) *verdict {
	return &verdict{truth: know, unknown: map[string]int{}, behind: map[[2]netip.AddrPort]bool{}, answered: map[[2]netip.AddrPort]bool{}, unnamed: map[string]*flowpb.Flow{}, shown: map[string]string{}}
}

// report judges flows, of which there should be so many.
func (v *verdict) report(t *testing.T, flows []*flowpb.Flow, want int) {
	t.Helper()
	for _, flow := range flows {
		v.judge(flow)
	}
	unknown, named := 0, 0
	for _, n := range v.unknown {
		unknown += n
	}
	missing := map[string]int{}
	for c := range v.answered {
		if v.behind[c] {
			named++
		} else {
			missing[c[1].String()]++
		}
	}
	t.Logf("%d flows: %d wrong ends of %d, %d unknown %v; the server named in %d of %d connections to services, not at %v",
		v.flows, v.wrong, v.ends, unknown, v.unknown, named, len(v.answered), missing)
	t.Logf("%d flows of clients behind the node's address tell the client, %d the node; %d flows are the nodes' own",
		v.unmasked, v.unnamedClients, v.own)
	if v.unmasked == 0 || float64(v.unnamedClients)/float64(v.unmasked) > 1-minBehind {
		t.Errorf("%d flows of clients behind the node's address tell the client, %d do not", v.unmasked, v.unnamedClients)
	}
	if v.own == 0 {
		t.Error("no flows are the nodes' own")
	}
	for _, kind := range slices.Sorted(maps.Keys(v.shown)) {
		t.Errorf("%s: %s", kind, v.shown[kind])
	}
	if v.flows < want {
		t.Errorf("only %d flows", v.flows)
	}
	if part := float64(unknown) / float64(v.ends); part > maxUnknown {
		t.Errorf("%.2f%% of ends are unknown", 100*part)
	}
	if len(v.answered) == 0 || float64(named)/float64(len(v.answered)) < minBehind {
		t.Errorf("the server is named in %d of %d connections to services: not in %v", named, len(v.answered), v.unnamed)
	}
}

// serverPorts are those at which somebody is called. Clients have others.
var serverPorts = map[uint16]bool{53: true, 443: true, 5353: true, 6443: true, 8080: true, 8081: true, 8181: true, 30080: true}

// judgeWay judges which way the flow and its connection go.
func (v *verdict) judgeWay(f *flowpb.Flow, src, dst netip.AddrPort) {
	reply := serverPorts[src.Port()]
	if reply == serverPorts[dst.Port()] || f.GetVerdict() != flowpb.Verdict_FORWARDED {
		return
	}
	v.ends++
	direction := flowpb.TrafficDirection_INGRESS
	if isSent(f.GetTraceObservationPoint()) != reply {
		direction = flowpb.TrafficDirection_EGRESS
	}
	if f.GetIsReply() == nil || f.GetIsReply().GetValue() != reply || f.GetTrafficDirection() != direction {
		v.mistake(f, fmt.Sprintf("is_reply %v, want %v; direction %v, want %v", f.GetIsReply(), reply, f.GetTrafficDirection(), direction))
	}
}

// isSent tells whether the endpoint behind the interface sent what was seen there.
func isSent(p flowpb.TraceObservationPoint) bool {
	return p == flowpb.TraceObservationPoint_FROM_ENDPOINT || p == flowpb.TraceObservationPoint_TO_NETWORK
}

// judgeMask judges who a flow tells as a client that its node gave an address of its
// own.
func (v *verdict) judgeMask(f *flowpb.Flow, src netip.AddrPort) {
	switch f.GetTraceObservationPoint() {
	case flowpb.TraceObservationPoint_TO_ENDPOINT:
	case flowpb.TraceObservationPoint_FROM_NETWORK, flowpb.TraceObservationPoint_TO_NETWORK:
		v.own++
		return
	default:
		return
	}
	if v.nodes[src.Addr()] == f.GetNodeName() && peer(v.masked[src], f.GetTime().AsTime()) == name(f.GetDestination()) {
		v.unnamedClients++
	}
	if text := f.GetIP().GetSourceXlated(); text != "" {
		v.unmasked++
		if a, err := netip.ParseAddr(text); err != nil || v.nodes[a] != f.GetNodeName() {
			v.mistake(f, "source_xlated is no address of the node")
		}
	}
}

// mistake notes that a flow is wrong.
func (v *verdict) mistake(f *flowpb.Flow, kind string) {
	v.wrong++
	if _, ok := v.shown[kind]; !ok && len(v.shown) < 20 {
		v.shown[kind] = f.String()
	}
}

// judge judges both ends of a flow.
func (v *verdict) judge(f *flowpb.Flow) {
	src, dst, ok := ends(f)
	if !ok {
		return
	}
	v.flows++
	v.judgeWay(f, src, dst)
	v.judgeMask(f, src)
	v.judgeEnd(f, "source", src, dst, f.GetSource(), f.GetSourceService())
	v.judgeEnd(f, "destination", dst, src, f.GetDestination(), f.GetDestinationService())
}

// ends are the addresses and ports of flows with ports.
func ends(f *flowpb.Flow) (src, dst netip.AddrPort, ok bool) {
	s, err := netip.ParseAddr(f.GetIP().GetSource())
	if err != nil {
		return src, dst, false
	}
	d, err := netip.ParseAddr(f.GetIP().GetDestination())
	if err != nil {
		return src, dst, false
	}
	var sp, dp uint32
	switch l4 := f.GetL4(); {
	case l4.GetTCP() != nil:
		sp, dp = l4.GetTCP().GetSourcePort(), l4.GetTCP().GetDestinationPort()
	case l4.GetUDP() != nil:
		sp, dp = l4.GetUDP().GetSourcePort(), l4.GetUDP().GetDestinationPort()
	default:
		return src, dst, false
	}
	return netip.AddrPortFrom(s, uint16(sp)), netip.AddrPortFrom(d, uint16(dp)), true
}

// judgeEnd judges the end that has address at, of a connection with other.
func (v *verdict) judgeEnd(f *flowpb.Flow, which string, at, other netip.AddrPort, e *flowpb.Endpoint, s *flowpb.Service) {
	v.ends++
	wrong := func(format string, args ...any) { v.mistake(f, which+" "+fmt.Sprintf(format, args...)) }
	service := v.serviceAt(at, protocol(f))
	told := ""
	if s != nil {
		told = s.GetNamespace() + "/" + s.GetName()
	}
	if told != service {
		wrong("is of service %q, want %q", told, service)
		return
	}
	if service != "" {
		v.judgeBehind(f, service, at, other, e, wrong)
		return
	}
	who := name(e)
	switch want := v.nameAt(at.Addr()); {
	case who == want:
	case isUnknown(who):
		v.unknown[want]++
	case want == "node" && (strings.Contains(who, "reserved:host") || strings.Contains(who, "reserved:remote-node")):
	case want == "world" && (who == "reserved:world" || who == "reserved:kube-apiserver"):
	default:
		wrong("is %s, want %s", who, want)
	}
}

// judgeBehind judges the end that is a service: the server must be the one that
// the client heard, or else one that the service selects.
func (v *verdict) judgeBehind(f *flowpb.Flow, service string, at, other netip.AddrPort, e *flowpb.Endpoint, wrong func(string, ...any)) {
	if n := v.nodes[at.Addr()]; n != "" && n != f.GetNodeName() {
		// That node chooses the server, and this one does not hear of it.
		return
	}
	key := [2]netip.AddrPort{other, at}
	if f.GetVerdict() == flowpb.Verdict_FORWARDED && f.GetIsReply().GetValue() {
		v.answered[key] = true
	}
	who := name(e)
	if _, known := v.apps[who]; !known {
		if f.GetVerdict() == flowpb.Verdict_FORWARDED && !v.behind[key] {
			if v.behind[key] = strings.Contains(who, "reserved:kube-apiserver"); !v.behind[key] {
				v.unnamed[at.String()] = f
			}
		}
		return
	}
	v.behind[key] = true
	if server := peer(v.calls[key], f.GetTime().AsTime()); server != "" && server != who {
		wrong("is %s behind %s, want %s, who answered", who, service, server)
	} else if v.apps[who] != v.selects[service] {
		wrong("is %s behind %s, which selects %s", who, service, v.selects[service])
	}
}

// serviceAt is the service that is reached at an address and port, if any.
func (v *verdict) serviceAt(a netip.AddrPort, protocol string) string {
	if s := v.services[socket{a, protocol}]; s != "" {
		return s
	}
	if v.nodes[a.Addr()] != "" {
		return v.nodePorts[nodePort{a.Port(), protocol}]
	}
	return ""
}

// protocol is a flow's, as Kubernetes calls it.
func protocol(f *flowpb.Flow) string {
	if f.GetL4().GetUDP() != nil {
		return "UDP"
	}
	return "TCP"
}

// nameAt is the pod that has an address, or what else does.
func (v *verdict) nameAt(a netip.Addr) string {
	switch {
	case v.pods[a] != "":
		return v.pods[a]
	case v.nodes[a] != "":
		return "node"
	}
	return "world"
}

// name is the pod that an end is told as, or its reserved labels.
func name(e *flowpb.Endpoint) string {
	if e.GetPodName() != "" {
		return e.GetNamespace() + "/" + e.GetPodName()
	}
	return strings.Join(e.GetLabels(), ",")
}

func isUnknown(who string) bool {
	return who == "reserved:unknown" || who == "reserved:unmanaged" || who == ""
}
