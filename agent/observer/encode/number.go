package encode

// The numbers of the fields that are written, by message. A test holds them
// against the messages' descriptors.
const (
	responseFlow     = 1
	responseLost     = 3
	responseNodeName = 1000
	responseTime     = 1001

	lostSource = 1
	lostEvents = 2
	lostCPU    = 3

	flowTime               = 1
	flowVerdict            = 2
	flowDropReason         = 3
	flowEthernet           = 4
	flowIP                 = 5
	flowL4                 = 6
	flowSource             = 8
	flowDestination        = 9
	flowType               = 10
	flowNodeName           = 11
	flowSourceNames        = 13
	flowDestinationNames   = 14
	flowReply              = 16
	flowEventType          = 19
	flowSourceService      = 20
	flowDestinationService = 21
	flowDirection          = 22
	flowPolicyMatchType    = 23
	flowObservationPoint   = 24
	flowDropReasonDesc     = 25
	flowIsReply            = 26
	flowInterface          = 28
	flowUUID               = 34
	flowEmitter            = 41
	flowEgressAllowedBy    = 21001
	flowIngressAllowedBy   = 21002
	flowEgressDeniedBy     = 21004
	flowIngressDeniedBy    = 21005
	flowSummary            = 100000
	flowExtensions         = 150000

	timeSeconds = 1
	timeNanos   = 2

	ethernetSource      = 1
	ethernetDestination = 2

	ipSource       = 1
	ipDestination  = 2
	ipVersion      = 3
	ipSourceXlated = 5

	layer4TCP    = 1
	layer4UDP    = 2
	layer4ICMPv4 = 3
	layer4ICMPv6 = 4
	layer4SCTP   = 5
	layer4VRRP   = 6
	layer4IGMP   = 7

	// Of TCP, UDP and SCTP.
	portsSource      = 1
	portsDestination = 2
	tcpFlags         = 3
	// The number of TCP's flag FIN; the others follow in the order of the bits.
	tcpFIN = 1

	// Of ICMPv4, ICMPv6, VRRP and IGMP.
	headerType   = 1
	icmpCode     = 2
	vrrpID       = 2
	vrrpPriority = 3

	endpointID        = 1
	endpointIdentity  = 2
	endpointNamespace = 3
	endpointLabels    = 4
	endpointPod       = 5
	endpointWorkloads = 6
	endpointCluster   = 7

	workloadName = 1
	workloadKind = 2

	serviceName      = 1
	serviceNamespace = 2

	eventTypeType = 1
	eventTypeSub  = 2

	policyName      = 1
	policyNamespace = 2
	policyKind      = 5

	interfaceIndex = 1
	interfaceName  = 2

	emitterName    = 1
	emitterVersion = 2

	// The value of a BoolValue or Int32Value.
	wrapperValue = 1

	anyTypeURL = 1
	anyValue   = 2

	structFields = 1

	// Of the entry of a map.
	entryKey   = 1
	entryValue = 2

	valueNumber = 2
	valueString = 3
	valueBool   = 4
	valueStruct = 5
)
