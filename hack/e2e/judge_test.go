package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/fovea-obs/fovea/hack/lab"
	"github.com/fovea-obs/fovea/hack/lab/capture"
)

// judge holds flows against what is true of the network.
type judge struct {
	*network
	node *lab.Node
	// local are the node's pods by interface, names who has an address.
	local map[int]*lab.Pod
	names map[netip.Addr]string
	// uplink is the node's interface to the network.
	uplink int
	// guesses says what may be inferred.
	guesses guesses
}

// guesses say of which conversations it may be inferred who began them.
type guesses int

const (
	// noGuesses: of none.
	noGuesses guesses = iota
	// datagramGuesses: of those that do not tell by themselves, by what is
	// known of the ports. They must be right, and told as such.
	datagramGuesses
	// anyGuesses: of all, as all are older than the agent. It may be left open.
	anyGuesses
)

// newJudge returns a judge of what the node's agent tells. It knows the pods and
// interfaces that are there now.
func (n *network) newJudge(t *testing.T, node *lab.Node) *judge {
	t.Helper()
	j := &judge{network: n, node: node, local: map[int]*lab.Pod{}, names: map[netip.Addr]string{}}
	for _, o := range n.lab.Nodes() {
		name := "reserved:remote-node"
		if o == node {
			name = "reserved:host"
		}
		j.names[o.IPv4], j.names[o.IPv6] = name, name
		for _, p := range o.Pods() {
			if o == node {
				j.local[p.HostLink] = p
			}
			j.names[p.IPv4], j.names[p.IPv6] = podName(p), podName(p)
		}
	}
	check(t, node.NS.Do(func() error {
		uplink, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		j.uplink = uplink.Index
		all, err := net.InterfaceAddrs()
		for _, a := range all {
			j.names[netip.MustParsePrefix(a.String()).Addr()] = "reserved:host"
		}
		return err
	}))
	return j
}

func podName(p *lab.Pod) string { return p.Namespace + "/" + p.Name }

// flow returns what is wrong with a flow, whatever it counts.
func (j *judge) flow(f *flowpb.Flow) []string {
	if f.GetVerdict() == flowpb.Verdict_DROPPED {
		return nil
	}
	k := keyOf(f)
	var complaints []string
	equal := func(what string, got, want any) {
		if got != want {
			complaints = append(complaints, fmt.Sprintf("%s %v, want %v", what, got, want))
		}
	}
	equal("verdict", f.GetVerdict(), flowpb.Verdict_FORWARDED)
	equal("node", f.GetNodeName(), j.node.Name)
	j.judgeEnds(f, k, equal)
	j.judgeReply(f, k, equal)
	j.judgeWords(f, k, equal)
	for i := range complaints {
		complaints[i] = k.String() + ": " + complaints[i] + " (" + f.GetSummary() + ")"
	}
	return complaints
}

// judgeEnds checks who the two ends are: the local one is whose interface it
// is, whatever the address.
func (j *judge) judgeEnds(f *flowpb.Flow, k key, equal func(what string, got, want any)) {
	pod := j.local[k.iface]
	if pod == nil && k.iface != j.uplink {
		equal("interface", k.iface, "one of a pod, or the uplink")
		return
	}
	local, remote := f.GetDestination(), f.GetSource()
	localService, remoteService := f.GetDestinationService(), f.GetSourceService()
	addr, port := k.src, k.a
	if k.from {
		local, remote = remote, local
		localService, remoteService = remoteService, localService
		addr, port = k.dst, k.b
	}
	if pod == nil {
		equal("interface's name", f.GetInterface().GetName(), "eth0")
		equal("local end", who(local), "reserved:host")
	} else {
		equal("interface's name", f.GetInterface().GetName(), pod.Interface)
		equal("local end", who(local), podName(pod))
		equal("local end's ID", local.GetID(), uint32(k.iface))
		equal("local end's labels", strings.Contains(strings.Join(local.GetLabels(), " "), "k8s:app="+pod.Labels["app"]), true)
	}
	equal("local end's service", serviceName(localService), "")
	service := ""
	if !k.later {
		service = j.services[netip.AddrPortFrom(addr, port)]
	}
	equal("remote end's service", serviceName(remoteService), service)
	switch name, ok := j.names[addr]; {
	case service != "":
		equal("remote end is behind the service", j.isBackend(netip.AddrPortFrom(addr, port), who(remote)), true)
	case !ok:
		equal("remote end", who(remote), "reserved:world")
	default:
		equal("remote end", who(remote), name)
	}
	if strings.HasPrefix(who(remote), "reserved:") {
		equal("remote end's identity is reserved", remote.GetIdentity() < 256, true)
	} else {
		equal("remote end's identity is reserved", remote.GetIdentity() < 256, false)
	}
}

// isBackend tells whether a pod is behind the service at an address.
func (j *judge) isBackend(vip netip.AddrPort, pod string) bool {
	return slices.ContainsFunc(j.backends[vip], func(b netip.AddrPort) bool { return j.names[b.Addr()] == pod })
}

// who names an end: namespace/name of a pod or service, or its reserved label.
func who(e *flowpb.Endpoint) string {
	switch {
	case e.GetPodName() != "":
		return e.GetNamespace() + "/" + e.GetPodName()
	case len(e.GetWorkloads()) > 0:
		return e.GetNamespace() + "/" + e.GetWorkloads()[0].GetName()
	}
	return strings.Join(e.GetLabels(), ",")
}

func serviceName(s *flowpb.Service) string {
	if s == nil {
		return ""
	}
	return s.GetNamespace() + "/" + s.GetName()
}

// judgeReply checks which way a flow goes, and which way its connection.
func (j *judge) judgeReply(f *flowpb.Flow, k key, equal func(what string, got, want any)) {
	want, known := j.reply(k)
	if !known {
		equal("server", "none", "one of both ends")
		return
	}
	inferred := extensionsOf(f)["reply_inferred"].GetBoolValue()
	if j.guesses == noGuesses || j.guesses == datagramGuesses && k.proto != capture.UDP && k.proto != capture.SCTP {
		equal("reply inferred", inferred, false)
	}
	if f.GetIsReply() == nil && (want == nil || j.guesses == anyGuesses) {
		equal("direction", f.GetTrafficDirection(), flowpb.TrafficDirection_TRAFFIC_DIRECTION_UNKNOWN)
		return
	}
	if f.GetIsReply() == nil || want == nil {
		equal("is_reply", f.GetIsReply(), want)
		return
	}
	equal("is_reply", f.GetIsReply().GetValue(), want.GetValue())
	if j.guesses == anyGuesses && k.proto != capture.ICMP && k.proto != capture.ICMPv6 {
		equal("reply inferred", inferred, true)
	}
	direction := flowpb.TrafficDirection_INGRESS
	if k.from != want.GetValue() {
		direction = flowpb.TrafficDirection_EGRESS
	}
	equal("direction", f.GetTrafficDirection(), direction)
}

// reply tells whether packets with the key go back to who talked first; nil if
// the packets do not tell. It is not known if neither end is a server.
func (j *judge) reply(k key) (reply *wrapperspb.BoolValue, known bool) {
	switch {
	case k.later:
		return nil, true
	case k.proto == capture.ICMP && k.a != 0 && k.a != 8, k.proto == capture.ICMPv6 && k.a != 128 && k.a != 129:
		return nil, true
	case k.proto == capture.ICMP:
		return wrapperspb.Bool(k.a == 0), true
	case k.proto == capture.ICMPv6:
		return wrapperspb.Bool(k.a == 129), true
	case k.proto == capture.IGMP || k.proto == capture.VRRP:
		return wrapperspb.Bool(false), true
	}
	to, from := j.isServer(k.proto, k.dst, k.b), j.isServer(k.proto, k.src, k.a)
	return wrapperspb.Bool(from), to != from
}

// judgeWords checks what clients print.
func (j *judge) judgeWords(f *flowpb.Flow, k key, equal func(what string, got, want any)) {
	point, sub := flowpb.TraceObservationPoint_TO_ENDPOINT, int32(0)
	if k.from {
		point, sub = flowpb.TraceObservationPoint_FROM_ENDPOINT, 5
	}
	if k.iface == j.uplink {
		point, sub = flowpb.TraceObservationPoint_FROM_NETWORK, 10
		if k.from {
			point, sub = flowpb.TraceObservationPoint_TO_NETWORK, 11
		}
	}
	equal("observation point", f.GetTraceObservationPoint(), point)
	equal("event type", f.GetEventType().GetType(), int32(4))
	equal("event sub-type", f.GetEventType().GetSubType(), sub)
	version, name := flowpb.IPVersion_IPv4, "IPv4 "
	if k.src.Is6() {
		version, name = flowpb.IPVersion_IPv6, "IPv6 "
	}
	equal("IP version", f.GetIP().GetIpVersion(), version)
	if k.later {
		equal("summary", strings.HasPrefix(f.GetSummary(), name), true)
		return
	}
	switch k.proto {
	case capture.TCP:
		equal("summary", f.GetSummary(), "TCP Flags: "+flagNames(flagsOf(f.GetL4().GetTCP().GetFlags())))
	case capture.UDP:
		equal("summary", f.GetSummary(), "UDP")
	case capture.SCTP:
		equal("summary", f.GetSummary(), "SCTP")
	case capture.IGMP:
		equal("IGMP type", f.GetL4().GetIGMP().GetType(), uint32(0x16))
		equal("summary", f.GetSummary(), "IGMP MembershipReportV2")
	case capture.VRRP:
		v := f.GetL4().GetVRRP()
		equal("VRRP", fmt.Sprint(v.GetType(), v.GetVrid(), v.GetPriority()), fmt.Sprint(1, vrrpRouter, vrrpPriority))
		equal("summary", f.GetSummary(), "VRRP Advertisement")
	case capture.ICMP:
		equal("summary", f.GetSummary(), icmpName(k))
	}
}

// flagNames lists flags as Hubble does.
func flagNames(bits uint8) string {
	var names []string
	for _, f := range []struct {
		bit  uint8
		name string
	}{
		{capture.SYN, "SYN"}, {capture.ACK, "ACK"}, {capture.RST, "RST"}, {capture.FIN, "FIN"},
		{capture.PSH, "PSH"}, {capture.URG, "URG"}, {capture.ECE, "ECE"}, {capture.CWR, "CWR"},
	} {
		if bits&f.bit != 0 {
			names = append(names, f.name)
		}
	}
	return strings.Join(names, ", ")
}

// icmpName is the summary of the ICMP messages that the tests make.
func icmpName(k key) string {
	switch [2]uint16{k.a, k.b} {
	case [2]uint16{8, 0}:
		return "ICMPv4 EchoRequest"
	case [2]uint16{0, 0}:
		return "ICMPv4 EchoReply"
	case [2]uint16{3, 3}:
		return "ICMPv4 DestinationUnreachable(Port)"
	}
	return "none that a test makes"
}
