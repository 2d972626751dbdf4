package observer

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	relaypb "github.com/cilium/cilium/api/v1/relay"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/fovea-obs/fovea/relay/peers"
)

const (
	// answerWithin is how long nodes have for an answer of one message. Clients wait
	// for 12 s.
	answerWithin = 4 * time.Second
	// namedUnavailable is how many nodes a status names that are not there.
	namedUnavailable = 10
)

// answer is what a node said, or that it did not.
type answer[T any] struct {
	peer *peers.Peer
	said T
	err  error
}

// each asks all nodes, and returns their answers by the nodes' names.
func each[T any](ctx context.Context, p *peers.Peers, ask func(context.Context, observerpb.ObserverClient) (T, error)) []answer[T] {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	list, _ := p.All()
	answers := make([]answer[T], len(list))
	var wg sync.WaitGroup
	for i, peer := range list {
		wg.Go(func() {
			said, err := ask(ctx, observerpb.NewObserverClient(peer.Conn))
			answers[i] = answer[T]{peer, said, err}
		})
	}
	wg.Wait()
	return answers
}

func statusOf(ctx context.Context, c observerpb.ObserverClient) (*observerpb.ServerStatusResponse, error) {
	return c.ServerStatus(ctx, &observerpb.ServerStatusRequest{})
}

// ServerStatus tells the sums over the nodes that answer, and names some of those that
// do not.
func (s *Server) ServerStatus(ctx context.Context, _ *observerpb.ServerStatusRequest) (*observerpb.ServerStatusResponse, error) {
	out := &observerpb.ServerStatusResponse{Version: s.c.Version}
	connected, unavailable := uint32(0), uint32(0)
	for _, a := range each(ctx, s.c.Peers, statusOf) {
		if a.err != nil {
			if unavailable++; len(out.UnavailableNodes) < namedUnavailable {
				out.UnavailableNodes = append(out.UnavailableNodes, a.peer.Name)
			}
			continue
		}
		if nodes := a.said.GetNumConnectedNodes(); nodes != nil {
			// It is a relay itself.
			connected += nodes.GetValue()
			unavailable += a.said.GetNumUnavailableNodes().GetValue()
			names := a.said.GetUnavailableNodes()
			out.UnavailableNodes = append(out.UnavailableNodes, names[:min(len(names), namedUnavailable-len(out.UnavailableNodes))]...)
		} else {
			connected++
		}
		out.NumFlows += a.said.GetNumFlows()
		out.MaxFlows += a.said.GetMaxFlows()
		out.SeenFlows += a.said.GetSeenFlows()
		out.FlowsRate += a.said.GetFlowsRate()
		out.UptimeNs = max(out.UptimeNs, a.said.GetUptimeNs())
	}
	out.NumConnectedNodes, out.NumUnavailableNodes = wrapperspb.UInt32(connected), wrapperspb.UInt32(unavailable)
	return out, nil
}

// GetNodes tells of all nodes, also of those that do not answer, and of those behind
// other relays.
func (s *Server) GetNodes(ctx context.Context, req *observerpb.GetNodesRequest) (*observerpb.GetNodesResponse, error) {
	type said struct {
		*observerpb.ServerStatusResponse
		nodes []*observerpb.Node
	}
	out := &observerpb.GetNodesResponse{}
	for _, a := range each(ctx, s.c.Peers, func(ctx context.Context, c observerpb.ObserverClient) (said, error) {
		status, err := statusOf(ctx, c)
		if status.GetNumConnectedNodes() == nil {
			return said{status, nil}, err
		}
		nodes, err := c.GetNodes(ctx, req)
		return said{status, nodes.GetNodes()}, err
	}) {
		if a.said.nodes != nil {
			out.Nodes = append(out.Nodes, a.said.nodes...)
			continue
		}
		n := &observerpb.Node{
			Name: a.peer.Name, Address: a.peer.Address, State: relaypb.NodeState_NODE_UNAVAILABLE,
			Tls: &observerpb.TLS{Enabled: a.peer.ServerName != "", ServerName: a.peer.ServerName},
		}
		if a.err == nil {
			n.State, n.Version, n.UptimeNs = relaypb.NodeState_NODE_CONNECTED, a.said.GetVersion(), a.said.GetUptimeNs()
			n.NumFlows, n.MaxFlows, n.SeenFlows = a.said.GetNumFlows(), a.said.GetMaxFlows(), a.said.GetSeenFlows()
		}
		out.Nodes = append(out.Nodes, n)
	}
	return out, nil
}

// GetNamespaces tells those that any node knows, by cluster and name.
func (s *Server) GetNamespaces(ctx context.Context, _ *observerpb.GetNamespacesRequest) (*observerpb.GetNamespacesResponse, error) {
	type key struct{ cluster, namespace string }
	all := map[key]bool{}
	for _, a := range each(ctx, s.c.Peers, func(ctx context.Context, c observerpb.ObserverClient) (*observerpb.GetNamespacesResponse, error) {
		return c.GetNamespaces(ctx, &observerpb.GetNamespacesRequest{})
	}) {
		for _, n := range a.said.GetNamespaces() {
			all[key{n.GetCluster(), n.GetNamespace()}] = true
		}
	}
	out := &observerpb.GetNamespacesResponse{}
	for _, k := range slices.SortedFunc(maps.Keys(all), func(a, b key) int {
		return cmp.Or(cmp.Compare(a.cluster, b.cluster), cmp.Compare(a.namespace, b.namespace))
	}) {
		out.Namespaces = append(out.Namespaces, &observerpb.Namespace{Cluster: k.cluster, Namespace: k.namespace})
	}
	return out, nil
}
