package filter

import (
	"fmt"
	"slices"
	"strings"

	flowpb "github.com/cilium/cilium/api/v1/flow"

	"github.com/fovea-obs/fovea/agent/endpoint"
)

// endpointFields are the fields that ask what a side of a flow is.
func endpointFields() map[string]fieldCompiler {
	return map[string]fieldCompiler{
		"source_pod":               func(c *builder, f *flowpb.FlowFilter) error { return c.pod(source, f.SourcePod) },
		"destination_pod":          func(c *builder, f *flowpb.FlowFilter) error { return c.pod(destination, f.DestinationPod) },
		"source_label":             func(c *builder, f *flowpb.FlowFilter) error { return c.label(source, f.SourceLabel) },
		"destination_label":        func(c *builder, f *flowpb.FlowFilter) error { return c.label(destination, f.DestinationLabel) },
		"source_workload":          func(c *builder, f *flowpb.FlowFilter) error { return c.workload(source, f.SourceWorkload) },
		"destination_workload":     func(c *builder, f *flowpb.FlowFilter) error { return c.workload(destination, f.DestinationWorkload) },
		"source_cluster_name":      func(c *builder, f *flowpb.FlowFilter) error { return c.cluster(source, f.SourceClusterName) },
		"destination_cluster_name": func(c *builder, f *flowpb.FlowFilter) error { return c.cluster(destination, f.DestinationClusterName) },
		"source_identity":          func(c *builder, f *flowpb.FlowFilter) error { return c.identity(source, f.SourceIdentity) },
		"destination_identity":     func(c *builder, f *flowpb.FlowFilter) error { return c.identity(destination, f.DestinationIdentity) },
	}
}

func (c *builder) pod(s side, values []string) error {
	names, err := c.names(values)
	if err != nil {
		return err
	}
	return c.addEndpoint(s, fmt.Sprintf("pod %q", values), func(e *endpoint.Endpoint) bool {
		return names.match(e.Namespace, e.Pod)
	})
}

func (c *builder) label(s side, values []string) error {
	selectors, err := c.selectors(values)
	if err != nil {
		return err
	}
	return c.addEndpoint(s, fmt.Sprintf("label %q", values), func(e *endpoint.Endpoint) bool {
		return selectors.match(e.Labels)
	})
}

// workload takes an empty name or kind for any.
func (c *builder) workload(s side, wanted []*flowpb.Workload) error {
	var asked strings.Builder
	for _, w := range wanted {
		fmt.Fprintf(&asked, " %q/%q", w.Kind, w.Name)
	}
	return c.addEndpoint(s, "workload"+asked.String(), func(e *endpoint.Endpoint) bool {
		return slices.ContainsFunc(e.Workloads, func(has endpoint.Workload) bool {
			return slices.ContainsFunc(wanted, func(w *flowpb.Workload) bool {
				return (w.Name == "" || w.Name == has.Name) && (w.Kind == "" || w.Kind == has.Kind)
			})
		})
	})
}

func (c *builder) cluster(s side, names []string) error {
	if slices.Contains(names, "") {
		return c.invalid("", "the name of a cluster")
	}
	return c.addEndpoint(s, fmt.Sprintf("cluster %q", names), func(e *endpoint.Endpoint) bool {
		return slices.Contains(names, e.Cluster)
	})
}

func (c *builder) identity(s side, numbers []uint32) error {
	return c.addEndpoint(s, fmt.Sprint("identity ", numbers), func(e *endpoint.Endpoint) bool {
		return slices.Contains(numbers, e.Identity)
	})
}
