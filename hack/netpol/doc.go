// Package netpol enforces network policies (networking.k8s.io/v1) on the nodes of
// a test, so that what the agent infers of them meets packets that were truly
// allowed and dropped. It shares nothing with package agent/policy, which it is
// held against, and is made to be short and plain, not fast.
//
//	err := netpol.Enforce(ctx, node.NS, node.Name, netpol.Objects{Namespaces: …, Pods: …, Policies: …})
//	err = netpol.Remove(ctx, node.NS)
//
// It needs root and the program nft. Nothing is watched: Enforce is called again
// when the objects have changed, and puts all rules in place at once.
//
// # What it does
//
// A node enforces the policies of its own pods where it forwards packets: the
// egress of a pod where it runs, and the ingress of a pod where that runs. There
// the destination is a pod's own address also behind a Service, as addresses are
// translated before. A pod that policies of a direction select may have the
// connections that one of them allows; the first packet of any other is dropped.
// [Ruleset] says how this is written: a chain for each such pod and direction,
// which is left where a rule matches and ends with a drop.
//
// Packets of connections that are there pass first: a policy that comes later does
// not end them, and answers need no rule. A pod may talk with itself. What a node
// sends to its own pods, and they to it, is not forwarded and always passes. Pods
// in their node's network have no address of their own: no policy selects them, as
// a pod or as a peer, and only a block of addresses can match them.
//
// # What the API leaves open
//
// A policy of a pod whose rules have no ports allows all protocols, and every other
// drops what is not TCP, UDP or SCTP, but for the discovery of neighbours, which
// crosses bridges. A block matches an address whoever has it. A named port of an
// egress rule is that of the pods which its peers match, by block too.
package netpol
