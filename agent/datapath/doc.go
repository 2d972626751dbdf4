// Package datapath brings the node's packets from the kernel to the agent.
//
// [Open] loads the programs of package bpf as far as this kernel takes them;
// what it does not take is named by [Datapath.Degraded], and the rest works.
// [Datapath.Run] follows the node's interfaces, attaches to those that lead to
// an endpoint or to the network, and hands every event to a [Handler] in a single
// goroutine.
// Nothing else calls the handler, so a handler needs no locks.
//
//   - ring.go reads the ring buffer in place, in batches; read.go hands over
//     what is in it.
//   - watch.go follows interfaces by netlink, links.go decides what they lead to,
//     and attach.go attaches to them: by TCX links, which end with
//     the process, or by clsact filters, of which only the agent's own are ever
//     removed. far.go reads the addresses that an endpoint has in its own
//     network namespace, by which it is found, and its hardware address.
//   - translate.go asks the kernel's connection tracking what it made of a
//     connection: by a program, or by netlink where the kernel has no way for
//     programs (conntrack.go).
//   - losses.go turns the kernel's counters into what was lost.
//   - drops.go loads what tells of drops; reasons.go and symbols.go put names to
//     what a drop event says. nflog.go hears what rules log of a packet before
//     they drop it.
//
// The programs pass every packet on: nothing here changes what happens to it.
package datapath
