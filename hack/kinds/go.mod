// A module of its own, without packages, that pins the definitions of what the chart has of
// others, for tests.
module github.com/fovea-obs/fovea/hack/kinds

go 1.26.0

require (
	github.com/cert-manager/cert-manager v1.21.2
	github.com/openshift/api v0.0.0-20251015095338-264e80a2b6e7
	github.com/prometheus-operator/prometheus-operator v0.85.0
)
