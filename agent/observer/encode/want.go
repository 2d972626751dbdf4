package encode

import (
	flowpb "github.com/cilium/cilium/api/v1/flow"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// wanted is what a mask asks for: of the flow, and of each message in it.
type wanted struct {
	flow                              fields
	summary, extensions               bool
	time, isReply, any                fields
	ethernet, ip                      fields
	layer4                            fields
	tcp, tcpFlags, udp, sctp          fields
	icmpv4, icmpv6, vrrp, igmp        fields
	source, destination               fields
	sourceService, destinationService fields
	event, netInterface, emitter      fields

	// allowedBy and deniedBy are of egress and ingress.
	allowedBy, deniedBy [2]bool

	// names says that those of an end are wanted, outcome that something is of what
	// is known of drops and of policies.
	names, outcome bool
}

func newWanted(m Mask) wanted {
	layer4 := m.under("l4")
	tcp := layer4.under("TCP")
	w := wanted{
		flow:    m.of(&flowpb.Flow{}),
		summary: m.has("Summary"), extensions: m.has("extensions"),
		time:               m.under("time").of(&timestamppb.Timestamp{}),
		isReply:            m.under("is_reply").of(&wrapperspb.BoolValue{}),
		any:                m.under("extensions").of(&anypb.Any{}),
		ethernet:           m.under("ethernet").of(&flowpb.Ethernet{}),
		ip:                 m.under("IP").of(&flowpb.IP{}),
		layer4:             layer4.of(&flowpb.Layer4{}),
		tcp:                tcp.of(&flowpb.TCP{}),
		tcpFlags:           tcp.under("flags").of(&flowpb.TCPFlags{}),
		udp:                layer4.under("UDP").of(&flowpb.UDP{}),
		sctp:               layer4.under("SCTP").of(&flowpb.SCTP{}),
		icmpv4:             layer4.under("ICMPv4").of(&flowpb.ICMPv4{}),
		icmpv6:             layer4.under("ICMPv6").of(&flowpb.ICMPv6{}),
		vrrp:               layer4.under("VRRP").of(&flowpb.VRRP{}),
		igmp:               layer4.under("IGMP").of(&flowpb.IGMP{}),
		source:             m.under("source").of(&flowpb.Endpoint{}),
		destination:        m.under("destination").of(&flowpb.Endpoint{}),
		sourceService:      m.under("source_service").of(&flowpb.Service{}),
		destinationService: m.under("destination_service").of(&flowpb.Service{}),
		event:              m.under("event_type").of(&flowpb.CiliumEventType{}),
		netInterface:       m.under("interface").of(&flowpb.NetworkInterface{}),
		emitter:            m.under("emitter").of(&flowpb.Emitter{}),
	}
	w.names = w.flow.has(flowSourceNames) || w.flow.has(flowDestinationNames)
	w.allowedBy = [2]bool{m.has("egress_allowed_by"), m.has("ingress_allowed_by")}
	w.deniedBy = [2]bool{m.has("egress_denied_by"), m.has("ingress_denied_by")}
	w.outcome = w.flow.has(flowDropReason) || w.flow.has(flowDropReasonDesc) || w.flow.has(flowEventType) ||
		w.flow.has(flowPolicyMatchType) || w.allowedBy != [2]bool{} || w.deniedBy != [2]bool{} || w.summary || w.extensions
	return w
}
