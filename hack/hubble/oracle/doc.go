// Package oracle holds the agent's filters and requests against other judges.
//
// TestFilters has upstream's own filter package judge the flows of random
// histories by random filters of every field, and wants the agent to send
// exactly those that pass, and to refuse what upstream refuses. Where the two
// differ on purpose, differences says so, and that is all that is let pass.
//
// TestRequests holds what is sent of a history, with number, first, since,
// until, follow and field masks, against a slice and a few loops.
//
// Both are the same on every run. FOVEA_ORACLE_SEED=2 makes others.
package oracle
