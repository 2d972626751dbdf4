// Package static takes endpoints, nodes, services and names from a file, for
// machines that no orchestrator tells about.
//
// The file is YAML:
//
//	nodes:
//	  - {name: node1, addresses: [172.31.0.11]}
//	endpoints:
//	  - interface: veth-web
//	    addresses: [10.1.0.2, "fd00::2"]
//	    namespace: shop
//	    pod: web-5d8f-abcde
//	    labels: {app: web}
//	    workload: {kind: Deployment, name: web}
//	services:
//	  - {name: web, namespace: shop, address: 10.96.0.50, port: 80, protocol: tcp}
//	names:
//	  - {address: 203.0.113.7, names: [api.example.com]}
//
// A node needs a name and an address. An endpoint needs an interface or a pod,
// a pod its namespace; a pod of another node has addresses and no interface. A
// service needs a name, a namespace and an address; without a port all its
// ports count, and a service with several addresses or ports is listed once
// for each. Names are those that DNS gives for an address, each address listed
// once. [Parse] reports everything that is wrong in a file, by line.
//
// A [Source] applies a file to the tables and follows its changes. What the
// first good content says holds from time 0 on, as connections may be older
// than the agent; what a later one changes holds from the moment it was read,
// and what it leaves alone is not touched. A file that has mistakes, or that is
// gone, changes nothing: the log names each mistake and the old content stays.
package static
