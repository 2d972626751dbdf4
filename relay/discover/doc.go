// Package discover takes the nodes that a relay asks from the EndpointSlices of a Service
// of Kubernetes.
//
// # Who is a peer
//
// Each node that has an endpoint of the Service is one, ready or not: an agent that is not
// ready may answer, and if it does not, clients are told that the node is unavailable, and
// not that it is gone. An endpoint that is being ended is one for as long as it serves.
// So a node is gone when its agent's pod is: for a few seconds, when a new one takes its
// place.
//
// Of several endpoints of a node that is asked which is not being ended; of those, one
// with an IPv4 address, so that the two slices of a Service with both families make one
// peer; of those, one that is ready; and of those the one with the least address.
//
// An endpoint that has no node's name is left out, as flows are told by the nodes' names,
// and so is one whose address is not an IP address. The log tells of both.
//
// # At which port
//
// At the one called peer-service, as that of Hubble's own Service of its agents is; if
// there is none, at the one called grpc; if there is none, at the first. Ports of other
// protocols than TCP do not count. A slice without a port is left out, and the log tells.
//
// # When the API cannot be reached
//
// Peers stay as they are, the log tells of it, and the API is asked again: see package
// kubeclient. The right needed is to list and watch EndpointSlices in the Service's
// namespace.
package discover
