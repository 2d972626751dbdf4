package encode

import (
	"strconv"

	"github.com/fovea-obs/fovea/agent/observer/lookup"
)

// icmpType is the name of a message's type and those of its codes, if it has
// any.
type icmpType struct {
	name  string
	codes []string
}

// icmpName is the name of a message: EchoRequest, DestinationUnreachable(Port).
func icmpName(t icmpType, number, code uint16) string {
	n := strconv.Itoa(int(code))
	switch {
	case t.name == "":
		return strconv.Itoa(int(number)) + "(" + n + ")"
	case int(code) < len(t.codes):
		return t.name + "(" + t.codes[code] + ")"
	case code == 0:
		return t.name
	}
	return t.name + "(Code: " + n + ")"
}

// icmpv4Type names the types of RFC 792 and the IANA registry after it.
func icmpv4Type(number uint16) icmpType {
	switch number {
	case 0:
		return icmpType{"EchoReply", nil}
	case 3:
		return icmpType{"DestinationUnreachable", []string{
			"Net", "Host", "Protocol", "Port", "FragmentationNeeded", "SourceRoutingFailed",
			"NetUnknown", "HostUnknown", "SourceIsolated", "NetAdminProhibited", "HostAdminProhibited",
			"NetTOS", "HostTOS", "CommAdminProhibited", "HostPrecedence", "PrecedenceCutoff",
		}}
	case 4:
		return icmpType{"SourceQuench", nil}
	case 5:
		return icmpType{"Redirect", []string{"Net", "Host", "TOS+Net", "TOS+Host"}}
	case 8:
		return icmpType{"EchoRequest", nil}
	case 9:
		return icmpType{"RouterAdvertisement", nil}
	case 10:
		return icmpType{"RouterSolicitation", nil}
	case 11:
		return icmpType{"TimeExceeded", []string{"TTLExceeded", "FragmentReassemblyTimeExceeded"}}
	case 12:
		return icmpType{"ParameterProblem", []string{"PointerIndicatesError", "MissingOption", "BadLength"}}
	case 13:
		return icmpType{"TimestampRequest", nil}
	case 14:
		return icmpType{"TimestampReply", nil}
	}
	return icmpType{}
}

// icmpv6Type names the types of RFC 4443, 4861, 2710 and 3810.
func icmpv6Type(number uint16) icmpType {
	switch number {
	case 1:
		return icmpType{"DestinationUnreachable", []string{
			"NoRouteToDst", "AdminProhibited", "BeyondScopeOfSrc", "AddressUnreachable", "PortUnreachable",
			"SrcAddressFailedPolicy", "RejectRouteToDst",
		}}
	case 2:
		return icmpType{"PacketTooBig", nil}
	case 3:
		return icmpType{"TimeExceeded", []string{"HopLimitExceeded", "FragmentReassemblyTimeExceeded"}}
	case 4:
		return icmpType{"ParameterProblem", []string{
			"ErroneousHeaderField", "UnrecognizedNextHeader", "UnrecognizedIPv6Option",
		}}
	case 128:
		return icmpType{"EchoRequest", nil}
	case 129:
		return icmpType{"EchoReply", nil}
	case 130:
		return icmpType{"MulticastListenerQuery", nil}
	case 131:
		return icmpType{"MulticastListenerReport", nil}
	case 132:
		return icmpType{"MulticastListenerDone", nil}
	case 133:
		return icmpType{"RouterSolicitation", nil}
	case 134:
		return icmpType{"RouterAdvertisement", nil}
	case 135:
		return icmpType{"NeighborSolicitation", nil}
	case 136:
		return icmpType{"NeighborAdvertisement", nil}
	case 137:
		return icmpType{"Redirect", nil}
	case 143:
		return icmpType{"MulticastListenerReportV2", nil}
	}
	return icmpType{}
}

// igmpType names the types of RFC 1112, 2236 and 3376.
func igmpType(number uint16) string {
	switch number {
	case 0x11:
		return "MembershipQuery"
	case 0x12:
		return "MembershipReportV1"
	case 0x16:
		return "MembershipReportV2"
	case 0x17:
		return "LeaveGroup"
	case 0x22:
		return "MembershipReportV3"
	}
	return "type " + strconv.Itoa(int(number))
}

// vrrpType names the only type there is: RFC 9568.
func vrrpType(number uint16) string {
	if number == 1 {
		return "Advertisement"
	}
	return "type " + strconv.Itoa(int(number))
}

// protocolName is the name of an IP protocol as IANA has it, or its number.
func protocolName(number uint8) string {
	switch number {
	case lookup.ProtoICMP:
		return "ICMP"
	case lookup.ProtoIGMP:
		return "IGMP"
	case 4:
		return "IPv4"
	case lookup.ProtoTCP:
		return "TCP"
	case lookup.ProtoUDP:
		return "UDP"
	case 41:
		return "IPv6"
	case 47:
		return "GRE"
	case 50:
		return "ESP"
	case 51:
		return "AH"
	case lookup.ProtoICMPv6:
		return "ICMPv6"
	case 89:
		return "OSPF"
	case 103:
		return "PIM"
	case lookup.ProtoVRRP:
		return "VRRP"
	case lookup.ProtoSCTP:
		return "SCTP"
	}
	return "protocol " + strconv.Itoa(int(number))
}
