// Package chart holds charts/fovea to what it is to be. It renders the chart with
// Helm for several sets of values, has a real API server look at what comes out, and
// installs, upgrades and removes it there. No node is needed: nobody runs the pods.
//
// The sets are in testdata/sets: defaults has all that is rendered, and each other
// what is different with its values. Values that are refused, with what people are
// told, are in testdata/refused.
package chart
