package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"time"

	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/policy"
)

const (
	policyTurns      = 9
	policyCount      = 1000
	policyNamespaces = 100
	policyPods       = 100 // in each of them
	policyAsked      = 1 << 20
	// policyCached are connections that are asked about again and again.
	policyCached = 1000

	policyVerdictBound = 100.0 // ns
	policyCompileBound = 1.0   // s
	policyChangeBound  = 5.0   // ms
)

// policyCluster is a large cluster, and a connection of each of its pods.
type policyCluster struct {
	endpoints *endpoint.Table
	policies  []policy.Policy
	queries   []policy.Query
}

// benchPolicy measures what it takes to say which policies a connection meets: if
// it was asked before, of each pod for the first time, and again after a change.
func benchPolicy(ctx context.Context, _ string) ([]result, error) {
	c := newPolicyCluster()
	var table *policy.Table
	var compile, verdict, change, pod []float64
	var allocs float64
	for turn := range policyTurns {
		begun := time.Now()
		table = policy.NewTable(c.endpoints)
		table.Replace(policy.Network, c.policies)
		results := c.judge(table, c.queries)
		compile = append(compile, time.Since(begun).Seconds())
		if results[policy.Allowed] == 0 || results[policy.Denied] == 0 {
			return nil, fmt.Errorf("of %d connections none are allowed, or none denied: %v", len(c.queries), results)
		}

		cached := c.queries[:policyCached]
		c.judge(table, cached)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		begun = time.Now()
		for i := range policyAsked {
			table.Judge(cached[i%policyCached])
		}
		verdict = append(verdict, float64(time.Since(begun).Nanoseconds())/policyAsked)
		runtime.ReadMemStats(&after)
		allocs = float64(after.Mallocs-before.Mallocs) / policyAsked

		// One that is about other pods than it was, and all that may be another's
		// verdict anew: the connections of its namespace.
		c.judge(table, c.queries)
		concerned := c.of(turn)
		begun = time.Now()
		table.Set(newPolicy(turn, turn+policyNamespaces))
		c.judge(table, concerned)
		change = append(change, float64(time.Since(begun).Microseconds())/1e3)
		table.Set(newPolicy(turn, turn))

		// A pod with other labels, in all connections.
		number := c.endpoints.Hold(policyPod(0, fmt.Sprint("changed-", turn)))
		begun = time.Now()
		for _, q := range cached {
			q.Source = number
			table.Judge(q)
		}
		pod = append(pod, float64(time.Since(begun).Microseconds())/1e3)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return []result{
		bounded("policy.verdict", "ns", median(verdict), policyVerdictBound),
		{"policy.verdict.allocs", allocs, "allocations/verdict", "none", 0, 0},
		bounded("policy.compile", "s", median(compile), policyCompileBound),
		bounded("policy.change", "ms", median(change), policyChangeBound),
		bounded("policy.change.pod", "ms", median(pod), policyChangeBound),
	}, nil
}

// judge counts the results.
func (c *policyCluster) judge(table *policy.Table, queries []policy.Query) (results [3]int) {
	for _, q := range queries {
		results[table.At(table.Judge(q)).Allowed()]++
	}
	return results
}

// of are the connections from and to a namespace.
func (c *policyCluster) of(i int) (list []policy.Query) {
	for _, q := range c.queries {
		ns := policyNamespace(i)
		if c.endpoints.At(q.Source).Namespace == ns || c.endpoints.At(q.Destination).Namespace == ns {
			list = append(list, q)
		}
	}
	return list
}

func newPolicyCluster() *policyCluster {
	c := &policyCluster{endpoints: endpoint.NewTable("default")}
	r := rand.New(rand.NewPCG(1, 1))
	numbers := make([]endpoint.Number, policyNamespaces*policyPods)
	for i := range numbers {
		numbers[i] = c.endpoints.Hold(policyPod(i, fmt.Sprint("app-", i/policyNamespaces%10)))
	}
	for i := range policyCount {
		c.policies = append(c.policies, newPolicy(i, i))
	}
	for source := range numbers {
		// Half of them within a namespace.
		destination := r.IntN(len(numbers))
		if source%2 == 0 {
			destination = source%policyNamespaces + policyNamespaces*r.IntN(policyPods)
		}
		c.queries = append(c.queries, policy.Query{
			Source: numbers[source], Destination: numbers[destination],
			SourceAddr: podAddress(source), DestinationAddr: podAddress(destination),
			Protocol: 6, DestinationPort: uint16(8000 + r.IntN(20)),
		})
	}
	r.Shuffle(len(c.queries), func(i, j int) { c.queries[i], c.queries[j] = c.queries[j], c.queries[i] })
	return c
}

func policyNamespace(i int) string { return fmt.Sprint("namespace-", i%policyNamespaces) }

func policyPod(i int, app string) endpoint.Endpoint {
	ns := policyNamespace(i)
	part := "k8s:io.cilium.k8s.namespace.labels."
	return endpoint.ForLabels("default", ns, fmt.Sprint("pod-", i), []string{
		"k8s:app=" + app, "k8s:app.kubernetes.io/name=" + app, "k8s:pod-template-hash=5d8f7c6b5", "k8s:tier=backend",
		"k8s:io.cilium.k8s.policy.cluster=default", "k8s:io.kubernetes.pod.namespace=" + ns,
		part + "kubernetes.io/metadata.name=" + ns, part + "team=" + fmt.Sprint("team-", i%10),
	}, nil)
}

// newPolicy is the policy with number i, about pods of an app.
func newPolicy(i, app int) policy.Policy {
	labels := func(key, value string) policy.Selector {
		return policy.Selector{{Key: key, Operator: policy.In, Values: []string{value}}}
	}
	ns := policyNamespace(i)
	ports := []policy.Port{{Protocol: 6, First: uint16(8000 + i%20), Last: uint16(8004 + i%20)}}
	return policy.Policy{
		Ref:     policy.Ref{Kind: policy.Network, Namespace: ns, Name: fmt.Sprint("policy-", i)},
		Subject: policy.Pods{Namespace: ns, Pods: labels("app", fmt.Sprint("app-", app/policyNamespaces%10))},
		Ingress: policy.Part{Applies: true, Rules: []policy.Rule{
			{Ports: ports, Peers: []policy.Peer{
				{Pods: &policy.Pods{Namespace: ns, Pods: labels("app", fmt.Sprint("app-", (app+1)%10))}},
				{Pods: &policy.Pods{Namespaces: labels("team", fmt.Sprint("team-", i%10))}},
				{Block: &policy.Block{
					Prefix: netip.MustParsePrefix("10.0.0.0/8"), Except: []netip.Prefix{netip.MustParsePrefix("10.0.16.0/20")},
				}},
			}},
			{Peers: []policy.Peer{{Pods: &policy.Pods{Namespaces: labels("kubernetes.io/metadata.name", policyNamespace(i+1))}}}},
		}},
		Egress: policy.Part{Applies: i%4 == 0, Rules: []policy.Rule{{Peers: []policy.Peer{{Pods: &policy.Pods{}}}}}},
	}
}
