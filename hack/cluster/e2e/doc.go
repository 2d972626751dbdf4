// Package e2e tests on a real Kubernetes cluster (package cluster) that is
// started for each way that kube-proxy makes services. The tests have the build
// tag e2e, as they take minutes and more programs than the others: make e2e.
//
// A new test is a function in the list of TestCluster. Those of one cluster run
// one after the other, in this order, and leave the shop of testdata as it was. What
// policies do is in scripts, testdata/policies (testPolicies says how they are read).
package e2e
