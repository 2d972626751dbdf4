package sample

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/agent/mac"
	"github.com/fovea-obs/fovea/agent/service"
)

// Shares of the flows, one in so many.
const (
	oneDropped = 1000
	oneWorld   = 8
	oneService = 16
	oneUDP     = 8
	oneICMP    = 64
)

// Hubble's numbers, and those of IP.
const (
	verdictForwarded, verdictDropped = 1, 2
	ingress, egress                  = 1, 2

	protocolICMP, protocolTCP, protocolUDP = 1, 6, 17
)

// reasonNetfilter stands for the kernel's NETFILTER_DROP.
const reasonNetfilter = 8

// generator makes records, the same row of them each time.
type generator struct {
	random   *rand.Rand
	pods     [pods]end
	services [services]end
	sample   *Sample
	// drop is the number of why packets are dropped.
	drop uint32
}

// end is who a record may come from or go to.
type end struct {
	address [16]byte
	number  endpoint.Number
	service service.Number
}

// record is the next flow.
func (g *generator) record(at time.Time) history.Record {
	r := history.Record{
		Time: at.UnixNano(), Packets: 1 + g.random.Uint32N(30),
		Kind: history.KindTrace, Verdict: verdictForwarded,
		Flags: history.FlagReplyKnown | history.FlagLocal,
	}
	r.Bytes = uint64(r.Packets) * (60 + g.random.Uint64N(1400))
	near := g.random.IntN(pods)
	r.Interface = uint32(100 + near)
	initiates, reply := g.one(2), g.one(2)
	g.transport(&r, reply)
	client, server := g.pods[near], g.far(near, initiates)
	r.Direction = egress
	if !initiates {
		client, server = server, client
		r.Direction = ingress
	}
	if initiates != reply {
		r.Flags |= history.FlagFromEndpoint
	}
	// Of the pod's end of its interface, and of the node's.
	frame := mac.Pair{Source: [6]byte{2, 0, 0, 1, byte(near >> 8), byte(near)}, Destination: [6]byte{2, 0, 0, 2}}
	if !r.Has(history.FlagFromEndpoint) {
		frame.Source, frame.Destination = frame.Destination, frame.Source
	}
	r.MACs = g.sample.MACs.Number(frame)
	from, to := client, server
	if reply {
		from, to = server, client
		r.SrcPort, r.DstPort = r.DstPort, r.SrcPort
		r.Flags |= history.FlagReply
	}
	r.Src, r.Source, r.SourceService = from.address, uint32(from.number), uint32(from.service)
	r.Dst, r.Destination, r.DestinationService = to.address, uint32(to.number), uint32(to.service)
	if g.one(oneDropped) {
		r.Kind, r.Verdict, r.Fate = history.KindDrop, verdictDropped, g.drop
	}
	if r.SourceService == 0 && r.DestinationService == 0 {
		r.Names = g.sample.Names.Lookup(netip.AddrFrom16(r.Src), netip.AddrFrom16(r.Dst))
	}
	return r
}

// far is whom pod number near talks with: a service only if the pod initiates.
func (g *generator) far(near int, initiates bool) end {
	switch {
	case g.one(oneWorld):
		return end{address: worldAddress(g.random.IntN(worldAddresses)).As16(), number: endpoint.World}
	case initiates && g.one(oneService):
		return g.services[g.random.IntN(services)]
	}
	return g.pods[(near+1+g.random.IntN(pods-1))%pods]
}

// transport sets protocol, ports as from client to server, and TCP flags.
func (g *generator) transport(r *history.Record, reply bool) {
	if g.one(oneICMP) {
		const echo = 8
		// The reply's type is 0.
		if r.Protocol = protocolICMP; !reply {
			r.SrcPort = echo
		}
		return
	}
	r.SrcPort = 32768 + uint16(g.random.UintN(28000))
	if g.one(oneUDP) {
		r.Protocol, r.DstPort = protocolUDP, 53
		return
	}
	const fin, syn, rst, psh, ack = 1, 2, 4, 8, 16
	r.Protocol = protocolTCP
	r.DstPort = []uint16{80, 443, 5432, 6379, 8080, 9090}[g.random.IntN(6)]
	r.TCPFlags = []uint16{syn, ack, ack, ack | psh, ack | psh, ack | fin, ack | fin, rst}[g.random.IntN(8)]
	if reply && r.TCPFlags == syn {
		r.TCPFlags |= ack
	}
}

func (g *generator) one(in int) bool { return g.random.IntN(in) == 0 }
