// Package cli holds the tests of the stock hubble command line against agents
// that run: what users type, and what they get to see.
//
// A lab of two nodes with an agent on each, named node1 in the cluster default
// and node2 in the cluster prod, and a relay over both, gets some of all kinds of traffic once. Then
// the scripts in testdata/ask are run, which only ask, and after them those in
// testdata/live, each by itself, which have more happen. A script is hubble's
// command lines with what they print; go test ./hack/cli -rewrite writes what
// they did print. Its commands are told at [script.command].
//
// All that the help of hubble observe lists is shown by a script to work, or is
// in the table of what cannot be shown, with the reason: [TestHelp] reads the
// help of the pinned hubble, the scripts and the table.
//
// They need root.
package cli
