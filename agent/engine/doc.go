// Package engine reads what enforces network policies says of packets itself. Some
// engines have rules of netfilter log a packet before they drop it (NFLOG), with a
// text that names the policy. That counts more than what is inferred.
//
// An engine is known by the form of its texts. One more is a case of [Read].
package engine
