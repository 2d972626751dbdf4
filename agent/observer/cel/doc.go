// Package cel evaluates the expressions of Hubble's filter
// experimental.cel_expression: boolean CEL (cel.dev) over the variable _flow, a
// flow.Flow, with CEL's standard functions and macros and the names of package
// flow, as in _flow.verdict == Verdict.DROPPED.
//
// # Meaning
//
// A list of expressions matches a flow if any of them is true for it. They are
// asked in turn. One that fails, as labels[0] does where there are no labels,
// ends that: the flow does not match.
//
// # Bounds
//
// Expressions come from clients and are asked for each flow of a scan, so what
// one can cost is bounded. Work is counted in steps of about 10 ns. What is done
// once is counted when an expression is compiled; loops, joined values and
// regular expressions pay as they run. A list that has taken 5,000 steps, which
// is 50 to 100 µs, fails: that is no match. It is enough to look for each of 20
// labels among 20 others.
//
// CEL's own limit of costs is not used: constants, lists, messages and time
// zones cost next to nothing there, so that it bounds no time, and it triples
// that of all evaluations.
//
// That each step is short needs some rules on top of CEL's own. A variable of a
// loop is a plain value or a message of the flow, so that no value can be made
// that shares its parts and is far larger than it was to write. The keys of a
// map and the patterns of matches() are literals. Messages are not made where
// there are loops. All else that CEL takes is taken.
package cel
