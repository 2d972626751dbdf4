// Package metrics counts what a relay does, and tells it to Prometheus.
//
// These are the relay's own. The class of a peer is batched if it is an agent of ours, and
// plain if it is another Hubble server or relay, which tells flows one by one.
//
//	fovea_relay_peers{state}                       nodes: connected, unavailable
//	fovea_relay_streams                            requests for flows that are open
//	fovea_relay_batches_received_total{peer}       messages of nodes: one a flow if plain
//	fovea_relay_bytes_received_total               their bytes
//	fovea_relay_flows_forwarded_total{peer}        flows sent to clients
//	fovea_relay_flows_lost_total{peer}             flows that nodes told clients they lost
//	fovea_relay_follow_lag_seconds                 a flow's age when it is sent
//
// The lag is that of requests that follow, of a flow now and then: of one in 32 KiB of a
// node's, or of the last that there is for now. Flows from before the request do not count. As it is taken by two clocks, the node's and the relay's, it is as
// exact as these are alike, and never below zero.
//
// Beside them are gRPC's (grpc_server_*), and those of Go (go_*) and the process
// (process_*). The messages of streams are not in grpc_server_msg_*: to count a flow there
// takes 0.2 µs, a good part of what it takes to forward it.
package metrics
