// Package lab builds a small network of nodes and pods out of Linux network
// namespaces, for tests, benchmarks and demonstrations. It needs root and uses
// netlink directly; no other program is run.
//
// # Building
//
//	l, err := lab.New()
//	defer l.Close()
//	node, err := l.AddNode("node-a", lab.WithConntrack())
//	client, err := node.AddPod(lab.PodSpec{Name: "client"})
//	server, err := node.AddPod(lab.PodSpec{Name: "server", Labels: labels})
//
// A [Node] is a router with an uplink eth0 to a bridge in the lab's fabric. A
// [Pod] has an interface eth0 whose host end, by default veth-<name>, is in the
// node's namespace; it has single addresses (/32 and /128) and its default
// routes lead to 169.254.1.1 and fe80::1 on the host end, unless its [Layout] is
// that of another network plugin. All pods reach each other, all nodes and the
// addresses added with [Lab.AddOutside]; everything works when the adding method
// returns.
//
//	           fabric: br0 172.31.0.1 fd31::1
//	              |                     |
//	node 1: eth0 172.31.0.11    node 2: eth0 172.31.0.12
//	        fd31::11                    fd31::12
//	        veth-client                 veth-server
//	              |                     |
//	client: eth0 10.1.1.2       server: eth0 10.1.2.2
//	        fd00:1::2                   fd00:2::2
//
// [Node.AddService] translates a service's address to its backends', with
// connection tracking. [Node.AddDrop] and [Pod.AddDrop] drop or reject packets.
// Both return a [Rule] that can be removed while the lab lives, and that counts
// the packets it has matched.
//
// # Traffic
//
// All traffic is made with sockets in the namespaces and is real. Servers run
// until they are closed: [ServeEcho], [ServeSink], [ServeUDPEcho],
// [ServeUDPSink], [ServeSCTP]. Clients are values with a method Run, which
// sends from a namespace and returns when everything was answered or sent:
// [TCPLoad], [TCPBulk], [UDPLoad], [UDPFlood], [Ping], [SCTPLoad], [IGMPReport],
// [VRRPAdvert]. [Namespace.Dial] and [Namespace.Listen] make any other socket.
//
//	s, err := lab.ServeEcho(server.NS, ":8080")
//	defer s.Close()
//	target := netip.AddrPortFrom(server.IPv4, 8080)
//	n, err := lab.TCPLoad{Target: target, Connections: 100, Bytes: 1000}.Run(ctx, client.NS)
//
// Package capture, below this one, counts the packets on any of the interfaces.
//
// # Namespaces and processes
//
// A [Namespace] has no name anywhere in the file system; it lives as long as
// this process, the sockets in it and the processes in it. [Namespace.Do] runs a
// function in it and [Namespace.Start] starts a process in it that does not
// outlive this one. When this process is killed, the kernel removes everything.
// Nothing is ever added to the namespace this process runs in.
//
// # Limits
//
// Pods of a node don't reach a service that leads back to themselves. SCTP ends
// after INIT and INIT ACK. A TCP client may ignore the first ICMP error for a
// rejected connection and notice the next, a second later.
package lab
