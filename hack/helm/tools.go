//go:build tools

// Package helm is a module of its own that pins Helm for the tests of the chart
// and on a cluster, so that what it needs stays out of the product's go.mod.
// Package hack/stock builds it.
package helm

import _ "helm.sh/helm/v4/cmd/helm"
