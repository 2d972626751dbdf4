// Package foveapb is the API between a relay and the agents of fovea, generated from
// batch.proto.
package foveapb

//go:generate sh generate.sh
