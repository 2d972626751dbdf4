package oracle

import (
	"fmt"
	"math/rand/v2"
	"net/netip"

	flowpb "github.com/cilium/cilium/api/v1/flow"

	"github.com/fovea-obs/fovea/agent/dns"
	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/fate"
	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/agent/mac"
	"github.com/fovea-obs/fovea/agent/observer"
	"github.com/fovea-obs/fovea/agent/policy"
	"github.com/fovea-obs/fovea/agent/service"
)

// Here is all that knows what a record is made of.

// tables are what the numbers in records stand for.
type tables struct {
	endpoints *endpoint.Table
	services  *service.Table
	names     *dns.Table
	fates     *fate.Table
	macs      *mac.Table
	policies  *policy.Table

	endpointNumbers []endpoint.Number
	serviceNumbers  []service.Number
	nameNumbers     []uint32
	verdictNumbers  []policy.Number
}

func newTables(u *universe) *tables {
	t := &tables{endpoints: endpoint.NewTable(u.cluster), names: dns.NewTable(), fates: fate.NewTable(), macs: mac.NewTable()}
	t.services = service.NewTable(u.cluster, t.endpoints)
	t.policies = policy.NewTable(t.endpoints)
	t.endpointNumbers = []endpoint.Number{endpoint.Unknown, endpoint.World, endpoint.Host, endpoint.RemoteNode}
	for _, e := range u.endpoints {
		t.endpointNumbers = append(t.endpointNumbers, t.endpoints.Hold(e))
	}
	frontends := map[service.Frontend]service.Name{}
	frontend := func(i int) service.Frontend {
		return service.Frontend{Address: netip.AddrFrom4([4]byte{10, 96, 0, byte(i)})}
	}
	for i, s := range u.services {
		frontends[frontend(i)] = s
	}
	t.services.Replace(frontends)
	t.serviceNumbers = []service.Number{0}
	// In the order of their names, not of the numbers, which may differ.
	for i := range u.services {
		t.serviceNumbers = append(t.serviceNumbers, t.services.Lookup(frontend(i).Address, 0, 0))
	}
	t.nameNumbers = t.namesOf(u.names)
	t.verdictNumbers = t.verdicts()
	return t
}

// namesOf gives addresses some of the names, and returns the numbers of all that
// two ends can then be called.
func (t *tables) namesOf(names []string) []uint32 {
	all := map[netip.Addr][]string{}
	ends := []netip.Addr{netip.IPv6Unspecified()}
	for i := range names {
		a := netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})
		all[a] = names[i : i+1+i%2*min(1, len(names)-1-i)]
		ends = append(ends, a)
	}
	t.names.Replace(all)
	var numbers []uint32
	for _, source := range ends {
		for _, destination := range ends {
			numbers = append(numbers, t.names.Lookup(source, destination))
		}
	}
	return numbers
}

// verdicts are those of policies that each let pods be sent to one port more than the
// one before.
func (t *tables) verdicts() (all []policy.Number) {
	for port := range uint16(3) {
		t.policies.Set(policy.Policy{
			Ref:     policy.Ref{Kind: policy.Network, Namespace: "shop", Name: fmt.Sprintf("port-%d", port)},
			Subject: policy.Pods{Namespace: "shop"},
			Ingress: policy.Part{Applies: true, Rules: []policy.Rule{{Ports: []policy.Port{{First: port, Last: port}}}}},
			Egress:  policy.Part{Applies: true},
		})
		for _, e := range t.endpointNumbers {
			all = append(all, t.policies.Judge(policy.Query{Source: e, Destination: t.endpointNumbers[len(t.endpointNumbers)-1], Protocol: 6, DestinationPort: port}))
		}
	}
	return all
}

// configure says what the server needs to make flows of the records.
func (t *tables) configure(u *universe, c *observer.Config) {
	c.Endpoints, c.Services, c.Names, c.Fates, c.MACs, c.Policies = t.endpoints, t.services, t.names, t.fates, t.macs, t.policies
	c.InterfaceName = func(index uint32) string { return u.interfaces[index] }
	c.ReasonName = func(reason uint32) string { return u.reasons[reason] }
	c.Symbol = func(address uint64) string { return u.symbols[address] }
}

// record makes one up.
func (t *tables) record(r *rand.Rand, u *universe) history.Record {
	if chance(r, 0.02) {
		return history.Record{Kind: history.KindLost, Packets: 1 + r.Uint32N(9), Interface: r.Uint32N(3)}
	}
	out := history.Record{
		Kind: history.KindTrace, Verdict: uint8(flowpb.Verdict_FORWARDED),
		Packets: r.Uint32N(5), Bytes: r.Uint64N(5000),
		Source: uint32(oneOf(r, t.endpointNumbers)), Destination: uint32(oneOf(r, t.endpointNumbers)),
		SourceService: uint32(oneOf(r, t.serviceNumbers)), DestinationService: uint32(oneOf(r, t.serviceNumbers)),
		Names:     oneOf(r, t.nameNumbers),
		Interface: uint32(r.IntN(len(u.interfaces) + 1)),
		Protocol:  oneOf(r, u.protocols),
		Direction: uint8(r.IntN(len(flowpb.TrafficDirection_name))),
		// What the kinds of flags mean together is not asked: any may be set.
		Flags: history.Flags(r.UintN(uint(history.FlagNetwork)<<1)) &^ history.FlagIPv6,
	}
	if chance(r, 0.3) {
		out.Kind, out.Verdict = history.KindDrop, uint8(flowpb.Verdict_DROPPED)
		out.Fate = t.fates.Number(fate.Fate{Reason: oneOf(r, keys(u.reasons)), Location: oneOf(r, keys(u.symbols))})
	}
	if chance(r, 0.2) {
		out.Kind = oneOf(r, []history.Kind{history.KindDrop, history.KindPolicy})
		if out.Kind == history.KindDrop || chance(r, 0.5) {
			out.Verdict = uint8(flowpb.Verdict_DROPPED)
		}
		out.Fate = t.fates.Number(fate.Fate{
			Reason: oneOf(r, keys(u.reasons)), Policy: oneOf(r, t.verdictNumbers), Egress: chance(r, 0.5), Ingress: chance(r, 0.5),
		})
	}
	if chance(r, 0.1) {
		out.Verdict = uint8(oneOf(r, keys(flowpb.Verdict_name)))
	}
	addresses := u.v4
	if chance(r, 0.3) {
		addresses = u.v6
		out.Flags |= history.FlagIPv6
	}
	out.Src, out.Dst = oneOf(r, addresses).As16(), oneOf(r, addresses).As16()
	if out.Kind == history.KindTrace && chance(r, 0.2) {
		out.Fate = t.fates.Number(fate.Fate{Source: oneOf(r, addresses)})
	}
	if !out.Has(history.FlagNoPorts) {
		out.SrcPort, out.DstPort = oneOf(r, u.ports), oneOf(r, u.ports)
		out.TCPFlags = uint16(r.UintN(1<<9)) & uint16(r.UintN(1<<9))
	}
	if chance(r, 0.5) {
		out.MACs = t.macs.Number(mac.Pair{Source: [6]byte{2, 0, 0, 0, 0, 1}, Destination: [6]byte{2, 0, 0, 0, 0, 2}})
	}
	return out
}
