// Package capture counts the packets on interfaces of a network namespace with
// a packet socket and parses them with gopacket, so that what another program
// says about the same packets can be checked against it.
//
//	c, err := capture.Start(node.NS, "veth-client")
//	...                        // traffic
//	result, err := c.Stop()    // waits for the last packet, fails on any loss
//	in := result.Sum(func(k capture.Key) bool {
//		return k.Direction == capture.In && k.Proto == capture.TCP && k.DstPort == 80
//	})
//
// On the host end of a pod's pair, [In] is what the pod sends and [Out] what it
// receives. A packet is what the kernel carries as one: segments that the
// sender leaves to the interface to split, or that the receiver merged, count
// once, with all their bytes. Bytes count from the Ethernet header on, like the
// interface's own counters. A packet that a classifier drops on the way out was
// not seen; one that a classifier drops on the way in was.
package capture
