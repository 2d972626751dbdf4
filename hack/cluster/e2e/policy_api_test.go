//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/fovea-obs/fovea/hack/cluster"
	"github.com/fovea-obs/fovea/hack/netpol"
)

// networking is the path of the API of policies.
const networking = "/apis/networking.k8s.io/v1/"

// learn learns the addresses of all that can be called.
func (p *policyTest) learn(ctx context.Context) error {
	p.addrs = map[string][]netip.Addr{"outside": {outsideAddr}}
	for _, n := range p.Nodes() {
		p.addrs[n.Name] = []netip.Addr{n.IPv4, n.IPv6}
	}
	for _, namespace := range policyNamespaces() {
		var pods corev1.PodList
		if err := p.api.do(ctx, http.MethodGet, "/api/v1/namespaces/"+namespace+"/pods", nil, &pods); err != nil {
			return err
		}
		for _, o := range pods.Items {
			for _, ip := range o.Status.PodIPs {
				if err := p.learnAddr(namespace+"/"+o.Name, ip.IP); err != nil {
					return err
				}
			}
		}
		var services corev1.ServiceList
		if err := p.api.do(ctx, http.MethodGet, "/api/v1/namespaces/"+namespace+"/services", nil, &services); err != nil {
			return err
		}
		for _, o := range services.Items {
			for _, ip := range o.Spec.ClusterIPs {
				if err := p.learnAddr(namespace+"/"+o.Name+".svc", ip); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (p *policyTest) learnAddr(who, text string) error {
	a, err := netip.ParseAddr(text)
	if err != nil {
		return fmt.Errorf("address of %s: %w", who, err)
	}
	p.addrs[who] = append(p.addrs[who], a)
	return nil
}

// policyRef is a policy that there is.
type policyRef struct{ path, uid string }

// replace puts policies in the place of those before, has the nodes enforce them,
// and waits until all agents know.
func (p *policyTest) replace(ctx context.Context, text string) error {
	var last flowpb.AgentEventType
	var uid string
	for _, old := range p.policies {
		if err := p.api.do(ctx, http.MethodDelete, old.path, nil, nil); err != nil {
			return err
		}
		last, uid = flowpb.AgentEventType_POLICY_DELETED, old.uid
	}
	p.policies = nil
	for documents := yaml.NewYAMLReader(bufio.NewReader(strings.NewReader(text))); ; {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read policies: %w", err)
		}
		made, err := p.create(ctx, document)
		if err != nil {
			return err
		}
		p.policies = append(p.policies, made)
		last, uid = flowpb.AgentEventType_POLICY_UPDATED, made.uid
	}
	if err := p.enforce(ctx); err != nil || uid == "" {
		return err
	}
	for _, n := range p.Nodes() {
		if err := awaitPolicy(ctx, n, last, uid); err != nil {
			return fmt.Errorf("wait for the agent of %s: %w", n.Name, err)
		}
	}
	return nil
}

func (p *policyTest) create(ctx context.Context, document []byte) (policyRef, error) {
	var o networkingv1.NetworkPolicy
	if err := yaml.UnmarshalStrict(document, &o); err != nil {
		return policyRef{}, fmt.Errorf("read a policy: %w", err)
	}
	path := networking + "namespaces/" + o.Namespace + "/networkpolicies"
	if err := p.api.do(ctx, http.MethodPost, path, &o, &o); err != nil {
		return policyRef{}, err
	}
	return policyRef{path + "/" + o.Name, string(o.UID)}, nil
}

// enforce has the nodes enforce what the API says now.
func (p *policyTest) enforce(ctx context.Context) error {
	o, err := policyObjects(ctx, p.api)
	if err != nil {
		return err
	}
	for _, n := range p.Nodes() {
		if err := netpol.Enforce(ctx, n.NS, n.Name, o); err != nil {
			return err
		}
	}
	return nil
}

// awaitPolicy waits until the agent of a node has told of a change of a policy.
// Changes of all policies are told in their order.
func awaitPolicy(ctx context.Context, n *cluster.Node, what flowpb.AgentEventType, uid string) error {
	conn, err := dialAgent(n)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := observerpb.NewObserverClient(conn).GetAgentEvents(ctx, &observerpb.GetAgentEventsRequest{Number: 100, Follow: true})
	if err != nil {
		return err
	}
	for {
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		e := m.GetAgentEvent()
		if e.GetType() == what && slices.Contains(e.GetPolicyUpdate().GetLabels(), "k8s:io.cilium.k8s.policy.uid="+uid) {
			return nil
		}
	}
}
