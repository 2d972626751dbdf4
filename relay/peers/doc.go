// Package peers knows the nodes that a relay asks, and holds a connection to each.
//
// Where nodes come from is a source: a list that is given, a Peer service, as every
// Hubble server has it ([Follow]), or package discover. A node has its connection for as
// long as it is there and has the same address. What is lost is dialled again, not too
// often, whether somebody asks or not.
package peers
