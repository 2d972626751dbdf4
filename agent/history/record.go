package history

// Kind says what a record tells of.
type Kind uint8

const (
	// KindTrace is packets seen at an endpoint's interface.
	KindTrace Kind = iota + 1
	// KindDrop is packets that the kernel dropped.
	KindDrop
	// KindLost is events that were lost before they reached the history:
	// Packets holds how many, Interface the CPU; all other fields but Time are
	// unset.
	KindLost
	// KindPolicy is what policies say of a connection that packets seen began: its
	// Packets and Bytes are 0, as they are told of already.
	KindPolicy
)

// Flags are the single bits of a record.
type Flags uint8

const (
	// FlagIPv6 marks Src and Dst as IPv6; without it both are IPv4 addresses
	// in their IPv6-mapped form.
	FlagIPv6 Flags = 1 << iota
	// FlagReplyKnown says that FlagReply means something.
	FlagReplyKnown
	// FlagReply marks packets that go from a connection's responder to its
	// initiator.
	FlagReply
	// FlagGuessed says that FlagReply was inferred from ports, not known.
	FlagGuessed
	// FlagFromEndpoint marks packets that the endpoint behind Interface sent;
	// without it they were on their way to it.
	FlagFromEndpoint
	// FlagNoPorts marks packets whose transport header was not there to read:
	// later fragments and unknown protocols. Ports and TCP flags are unset.
	FlagNoPorts
	// FlagLocal says that Interface leads to an endpoint of this node. Drops
	// may happen on others.
	FlagLocal
	// FlagNetwork says that Interface leads to the network, and that the endpoint
	// is the node itself.
	FlagNetwork
)

// Record is one flow report. Of fixed size and without pointers; the zero value
// of a field means that it is unknown or does not apply.
type Record struct {
	// Time in nanoseconds since 1970, unique and increasing on a node.
	Time int64
	// Bytes of whole frames, as the interface counts them, and Packets since the
	// connection's last report.
	Bytes   uint64
	Packets uint32
	// Src and Dst are the packet's addresses: see FlagIPv6.
	Src, Dst [16]byte
	// Interface is the index of the network interface, in the agent's network
	// namespace.
	Interface uint32
	// Source and Destination are numbers of endpoint versions (package
	// endpoint).
	Source, Destination uint32
	// SourceService and DestinationService are numbers of services (package
	// service), 0 for none.
	SourceService, DestinationService uint32
	// Fate is the number of why and where a packet was dropped, of the address that
	// it went on with, or of what policies say (package fate), 0 for none.
	Fate uint32
	// Names is the number of the ends' DNS names (package dns), 0 for none.
	Names uint32
	// MACs is the number of the frame's hardware addresses (package mac), 0 for
	// none.
	MACs uint32
	// SrcPort and DstPort of TCP, UDP and SCTP, in host order. For ICMP and
	// ICMPv6 SrcPort is the message's type and DstPort its code.
	SrcPort, DstPort uint16
	// TCPFlags are the low nine bits of the TCP header's flags, FIN first.
	TCPFlags uint16
	// Protocol is the IP protocol number.
	Protocol uint8
	// Verdict is Hubble's flow.Verdict.
	Verdict uint8
	// Direction is Hubble's flow.TrafficDirection, the connection's as seen
	// from the endpoint behind Interface; 0 if none is.
	Direction uint8
	Kind      Kind
	Flags     Flags
}

// Has tells whether all bits of f are set.
func (r *Record) Has(f Flags) bool { return r.Flags&f == f }
