//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/fovea-obs/fovea/hack/cluster"
	"github.com/fovea-obs/fovea/hack/cluster/workload/report"
)

// truth is what the API server and the workload say of a cluster, which no agent
// has a part in.
type truth struct {
	// pods are the names, namespace/pod, of those that have an address of their
	// own, by it.
	pods map[netip.Addr]string
	// nodes are the names of nodes by their addresses.
	nodes map[netip.Addr]string
	// services are the names of services by where they are reached, and by the
	// port that they have at every node, all for TCP and UDP apart.
	services  map[socket]string
	nodePorts map[nodePort]string
	// calls are what clients say of their sockets, by them and by what they called.
	calls map[[2]netip.AddrPort][]report.Connection
	// masked are the sockets that servers saw in the place of clients' own.
	masked map[netip.AddrPort][]report.Connection
	// apps are the apps of pods, and those that services select.
	apps, selects map[string]string
}

// socket is where something is reached, by TCP or UDP.
type socket struct {
	at       netip.AddrPort
	protocol string
}

type nodePort struct {
	port     uint16
	protocol string
}

// list reads objects of a kind into to, which is a pointer to a list of items.
func (f *fixture) list(ctx context.Context, kind string, to any) error {
	text, err := f.Kubectl(ctx, "get", kind, "--all-namespaces", "--output", "json")
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(text), to); err != nil {
		return fmt.Errorf("read %s: %w", kind, err)
	}
	return nil
}

// object is the part that all have.
type object struct {
	Metadata struct {
		Namespace, Name string
		Labels          map[string]string
	}
}

func (o *object) name() string { return o.Metadata.Namespace + "/" + o.Metadata.Name }

// app is the label by which services here select.
func (o *object) app() string { return o.Metadata.Labels["app"] + o.Metadata.Labels["k8s-app"] }

// learn asks the API server and all pods of the shop.
func (f *fixture) learn(ctx context.Context, t *testing.T) *truth {
	t.Helper()
	know := &truth{
		pods: map[netip.Addr]string{}, nodes: map[netip.Addr]string{},
		services: map[socket]string{}, nodePorts: map[nodePort]string{},
		calls: map[[2]netip.AddrPort][]report.Connection{}, masked: map[netip.AddrPort][]report.Connection{}, apps: map[string]string{}, selects: map[string]string{},
	}
	check(t, f.learnPods(ctx, know))
	check(t, f.learnServices(ctx, know))
	for _, n := range f.Nodes() {
		check(t, know.learnNode(n))
	}
	for _, app := range []string{"front", "mid", "host", "client"} {
		pods, err := f.pods(ctx, "shop", app)
		check(t, err)
		for _, p := range pods {
			reports, err := f.reports(ctx, p)
			check(t, err)
			know.called(reports)
		}
	}
	return know
}

// learnNode takes all addresses that a node has, as those by which it reaches its
// pods.
func (know *truth) learnNode(n *cluster.Node) error {
	return n.NS.Do(func() error {
		addrs, err := net.InterfaceAddrs()
		if err != nil {
			return fmt.Errorf("list addresses of %s: %w", n.Name, err)
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				know.nodes[p.Addr()] = n.Name
			}
		}
		return nil
	})
}

func (know *truth) called(reports []report.Connection) {
	for _, r := range reports {
		if r.Event == report.Called && r.Error == "" {
			key := [2]netip.AddrPort{r.Local, r.Remote}
			know.calls[key] = append(know.calls[key], r)
			if r.Seen.IsValid() && r.Seen != r.Local {
				know.masked[r.Seen] = append(know.masked[r.Seen], r)
			}
		}
	}
}

// A connection is reported when its ends have said who they are: flows of it come
// from reportedAfter before that on. Those that come later than flowsUntil after it
// are not judged by it: a pod that ended may have left a connection with the same
// ports that nobody reported, of which the last counts are told seconds later.
const (
	reportedAfter = time.Second
	flowsUntil    = 2 * time.Second
)

// isNear tells whether a flow of a time may be of a connection that was reported.
func isNear(r *report.Connection, at time.Time) bool {
	return !at.Before(r.Time.Add(-reportedAfter)) && !at.After(r.Time.Add(flowsUntil))
}

// peer is who was at the other end of a connection at a time, as the reports of it
// say; "" if none does, or if two do.
func peer(reports []report.Connection, at time.Time) (who string) {
	for _, r := range reports {
		switch {
		case !isNear(&r, at) || r.Peer == who:
		case who != "":
			return ""
		default:
			who = r.Peer
		}
	}
	return who
}

func (f *fixture) learnPods(ctx context.Context, know *truth) error {
	var list struct {
		Items []struct {
			object
			Spec   struct{ HostNetwork bool }
			Status struct{ PodIPs []struct{ IP netip.Addr } }
		}
	}
	if err := f.list(ctx, "pods", &list); err != nil {
		return err
	}
	for i := range list.Items {
		p := &list.Items[i]
		know.apps[p.name()] = p.app()
		for _, a := range p.Status.PodIPs {
			if !p.Spec.HostNetwork {
				know.pods[a.IP] = p.name()
			}
		}
	}
	return nil
}

func (f *fixture) learnServices(ctx context.Context, know *truth) error {
	var list struct {
		Items []struct {
			object
			Spec struct {
				ClusterIPs []string
				Selector   map[string]string
				Ports      []struct {
					Port, NodePort uint16
					Protocol       string
				}
			}
		}
	}
	if err := f.list(ctx, "services", &list); err != nil {
		return err
	}
	for i := range list.Items {
		s := &list.Items[i]
		know.selects[s.name()] = s.Spec.Selector["app"] + s.Spec.Selector["k8s-app"]
		for _, p := range s.Spec.Ports {
			if p.NodePort != 0 {
				know.nodePorts[nodePort{p.NodePort, p.Protocol}] = s.name()
			}
			for _, text := range s.Spec.ClusterIPs {
				if a, err := netip.ParseAddr(strings.TrimSpace(text)); err == nil {
					know.services[socket{netip.AddrPortFrom(a, p.Port), p.Protocol}] = s.name()
				}
			}
		}
	}
	return nil
}
