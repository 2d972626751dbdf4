// Package image makes fovea's container image by the Containerfile: a static binary for each
// architecture, and nothing else. It is put together by buildah, in a store of its own that
// is gone afterwards, or by docker where there is no buildah.
//
// What is in it depends on the commit, the version and the Go that builds it alone: times
// are the commit's.
package image
