package encode

import (
	"testing"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/fovea-obs/fovea/agent/observer/lookup"
)

type numbers map[protoreflect.Name]int

// flowNumbers are the fields that flows have.
func flowNumbers() numbers {
	return numbers{
		"time": flowTime, "verdict": flowVerdict, "drop_reason": flowDropReason, "ethernet": flowEthernet, "IP": flowIP, "l4": flowL4,
		"source": flowSource, "destination": flowDestination, "Type": flowType, "node_name": flowNodeName,
		"source_names": flowSourceNames, "destination_names": flowDestinationNames, "reply": flowReply, "event_type": flowEventType,
		"source_service": flowSourceService, "destination_service": flowDestinationService, "traffic_direction": flowDirection, "policy_match_type": flowPolicyMatchType,
		"trace_observation_point": flowObservationPoint, "drop_reason_desc": flowDropReasonDesc, "is_reply": flowIsReply,
		"interface": flowInterface, "uuid": flowUUID, "emitter": flowEmitter,
		"egress_allowed_by": flowEgressAllowedBy, "ingress_allowed_by": flowIngressAllowedBy,
		"egress_denied_by": flowEgressDeniedBy, "ingress_denied_by": flowIngressDeniedBy, "Summary": flowSummary, "extensions": flowExtensions,
	}
}

// numberTable is all of number.go.
func numberTable() map[proto.Message]numbers {
	ports := numbers{"source_port": portsSource, "destination_port": portsDestination}
	icmp := numbers{"type": headerType, "code": icmpCode}
	return map[proto.Message]numbers{
		&observerpb.GetFlowsResponse{}: {"flow": responseFlow, "lost_events": responseLost, "node_name": responseNodeName, "time": responseTime},
		&flowpb.LostEvent{}:            {"source": lostSource, "num_events_lost": lostEvents, "cpu": lostCPU},
		&flowpb.Flow{}:                 flowNumbers(),
		&timestamppb.Timestamp{}:       {"seconds": timeSeconds, "nanos": timeNanos},
		&flowpb.Ethernet{}:             {"source": ethernetSource, "destination": ethernetDestination},
		&flowpb.IP{}:                   {"source": ipSource, "destination": ipDestination, "ipVersion": ipVersion, "source_xlated": ipSourceXlated},
		&flowpb.Layer4{}: {
			"TCP": layer4TCP, "UDP": layer4UDP, "ICMPv4": layer4ICMPv4, "ICMPv6": layer4ICMPv6,
			"SCTP": layer4SCTP, "VRRP": layer4VRRP, "IGMP": layer4IGMP,
		},
		&flowpb.TCP{}:    {"source_port": portsSource, "destination_port": portsDestination, "flags": tcpFlags},
		&flowpb.UDP{}:    ports,
		&flowpb.SCTP{}:   ports,
		&flowpb.ICMPv4{}: icmp,
		&flowpb.ICMPv6{}: icmp,
		&flowpb.VRRP{}:   {"type": headerType, "vrid": vrrpID, "priority": vrrpPriority},
		&flowpb.IGMP{}:   {"type": headerType},
		&flowpb.Endpoint{}: {
			"ID": endpointID, "identity": endpointIdentity, "namespace": endpointNamespace, "labels": endpointLabels,
			"pod_name": endpointPod, "workloads": endpointWorkloads, "cluster_name": endpointCluster,
		},
		&flowpb.Workload{}:         {"name": workloadName, "kind": workloadKind},
		&flowpb.Service{}:          {"name": serviceName, "namespace": serviceNamespace},
		&flowpb.Policy{}:           {"name": policyName, "namespace": policyNamespace, "kind": policyKind},
		&flowpb.CiliumEventType{}:  {"type": eventTypeType, "sub_type": eventTypeSub},
		&flowpb.NetworkInterface{}: {"index": interfaceIndex, "name": interfaceName},
		&flowpb.Emitter{}:          {"name": emitterName, "version": emitterVersion},
		&wrapperspb.BoolValue{}:    {"value": wrapperValue},
		&wrapperspb.Int32Value{}:   {"value": wrapperValue},
		&anypb.Any{}:               {"type_url": anyTypeURL, "value": anyValue},
		&structpb.Struct{}:         {"fields": structFields},
		&structpb.Value{}: {
			"number_value": valueNumber, "string_value": valueString, "bool_value": valueBool, "struct_value": valueStruct,
		},
	}
}

func TestNumbers(t *testing.T) {
	for message, numbers := range numberTable() {
		checkNumbers(t, message.ProtoReflect().Descriptor(), numbers)
	}
	entry := (&structpb.Struct{}).ProtoReflect().Descriptor().Fields().ByName("fields").Message()
	checkNumbers(t, entry, numbers{"key": entryKey, "value": entryValue})
	flags := numbers{}
	for i, name := range []protoreflect.Name{"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "NS"} {
		flags[name] = tcpFIN + i
		f := &flowpb.TCPFlags{}
		m := f.ProtoReflect()
		m.Set(m.Descriptor().Fields().ByName(name), protoreflect.ValueOfBool(true))
		if lookup.TCPBits(f) != 1<<i {
			t.Errorf("%s is not bit %d", name, i)
		}
	}
	checkNumbers(t, (&flowpb.TCPFlags{}).ProtoReflect().Descriptor(), flags)
}

func checkNumbers(t *testing.T, m protoreflect.MessageDescriptor, numbers numbers) {
	t.Helper()
	for name, number := range numbers {
		if f := m.Fields().ByName(name); f == nil || int(f.Number()) != number {
			t.Errorf("%s.%s is not %d", m.FullName(), name, number)
		}
	}
}
