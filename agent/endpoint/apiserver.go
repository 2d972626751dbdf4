package endpoint

import "net/netip"

// SetAPIServers says at which addresses the cluster's API servers are, in place
// of all said before. As in Cilium, one that is on a node is both, and one on
// this node has the identity of the host. An address that a pod has is the pod's.
func (t *Table) SetAPIServers(addrs []netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.apiServers == nil && len(addrs) > 0 {
		t.apiServers = map[Number]Number{}
		for n, e := range map[Number]Endpoint{
			World:      {Identity: identityAPIServer, Labels: []string{"reserved:kube-apiserver"}},
			Host:       {Identity: identityHost, Labels: []string{"reserved:host", "reserved:kube-apiserver"}},
			RemoteNode: {Identity: identityAPIServer, Labels: []string{"reserved:kube-apiserver", "reserved:remote-node"}},
		} {
			e.Cluster = t.cluster
			number := t.intern(e)
			t.held[number], t.apiServers[n] = true, number
		}
	}
	for _, a := range t.addrs {
		a.apiServer = false
	}
	for _, a := range addrs {
		t.address(a).apiServer = true
	}
	t.tidy()
}
