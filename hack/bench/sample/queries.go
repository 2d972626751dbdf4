package sample

import (
	"net/netip"

	flowpb "github.com/cilium/cilium/api/v1/flow"
)

// chosen is the pod that is asked for, a canary: a thousandth of the flows are
// to or from it.
const chosen = pods / 2

// Query is a question, with its filters as the hubble command line sends them:
// of those for both directions, one for each.
type Query struct {
	Name      string
	Whitelist []*flowpb.FlowFilter
}

// Queries are of one kind of filter each. A flow in a thousand matches.
func Queries() []Query {
	return []Query{
		{"scan", Dropped()},
		{"pod", Pod()},
		{"label", label()},
		{"ip_cidr", address()},
		{"fqdn", name()},
	}
}

// Dropped asks for all flows that were dropped.
func Dropped() []*flowpb.FlowFilter {
	return []*flowpb.FlowFilter{{Verdict: []flowpb.Verdict{flowpb.Verdict_DROPPED}}}
}

// Pod asks for all flows of one pod.
func Pod() []*flowpb.FlowFilter {
	name := []string{namespaceOf(chosen/replicas) + "/" + podName(chosen)}
	return []*flowpb.FlowFilter{{SourcePod: name}, {DestinationPod: name}}
}

// label asks for the canary of a Deployment.
func label() []*flowpb.FlowFilter {
	selector := []string{"app=" + appName(chosen/replicas) + ",track=canary"}
	return []*flowpb.FlowFilter{{SourceLabel: selector}, {DestinationLabel: selector}}
}

// address asks for four addresses of the world.
func address() []*flowpb.FlowFilter {
	prefix := []string{netip.PrefixFrom(worldAddress(worldAddresses/2), 30).String()}
	return []*flowpb.FlowFilter{{SourceIp: prefix}, {DestinationIp: prefix}}
}

// name asks for one name of the world.
func name() []*flowpb.FlowFilter {
	pattern := []string{worldName(worldAddresses / 2)[:len("api-000")] + ".*.com"}
	return []*flowpb.FlowFilter{{SourceFqdn: pattern}, {DestinationFqdn: pattern}}
}
