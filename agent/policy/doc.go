// Package policy says which network policies allow or deny a connection between
// two endpoints, and by that which of them a dropped packet met.
//
// No engine tells the agent so: it is inferred from the policies themselves, by
// the semantics of networking.k8s.io/v1 NetworkPolicy, of AdminNetworkPolicy and
// BaselineAdminNetworkPolicy (policy.networking.k8s.io/v1alpha1), and of
// ClusterNetworkPolicy, which came in their place (v1alpha2 and v1beta1). A
// [Table] is filled by a source with each [Policy], and judges a [Query]: the
// [Verdict] has a [Decision] for the source's end and one for the destination's,
// and a connection passes if both allow it. Replies are not to be asked about.
//
// # Tiers
//
// A pod's policies of one direction are asked tier by tier. Of the kinds [Admin]
// and [ClusterAdmin], in the order of their priorities, the first rule that
// matches allows, denies, or passes on. Then, if any policy of the kind [Network]
// selects the pod, it is isolated: the connection is allowed if a rule of any of
// them matches, and denied otherwise. Only if none does, those of the kinds
// [Baseline] and [ClusterBaseline] are asked as the first were. What nothing
// speaks of is allowed.
//
// The API leaves open which is before the other where a cluster has both
// AdminNetworkPolicies and ClusterNetworkPolicies: here their priorities are of
// one order, in which the older kind is first if they are the same, and a
// BaselineAdminNetworkPolicy, which has none, has priority 0.
//
// Traffic of a pod with itself, and between this node and its own pods, is always
// allowed. Policies are about TCP, UDP and SCTP: what they mean for other
// protocols is undefined, and told as [Unknown].
//
// # What is not known
//
// An end that cannot be named may be selected by any policy and match any peer. A
// pod that only its container runtime told of lacks its namespace's labels and the
// names of its ports. A Service stands for one of the pods behind it, at an
// address and port of its own. Policies can be asked of these as well: the answer
// is Unknown only if it depends on what is not known. The labels of nodes never
// are, nor who has a domain name.
//
// An address is matched by a block whoever has it: the API asks that blocks are
// for what is outside the cluster, and does not say that pods are left out.
//
// # What is remembered
//
// Each version of an endpoint is met once: a member has the policies that select
// it and what it answered to the selectors of peers, by their numbers. A policy
// that changes is taken out of the members that it selects and put back, and
// nothing else is asked anew. Above that is a cache of verdicts of a fixed size.
// Its keys are members in their state, so that it is never told what is no longer
// true. Ports that no policy tells apart share an entry, and so do addresses where
// no block is looked at.
package policy
