// A module of its own, without packages, that pins the definitions of policies for
// tests.
module github.com/fovea-obs/fovea/hack/policyapi/cluster

go 1.26.0

require sigs.k8s.io/network-policy-api v0.3.0
