package filter

import (
	"regexp/syntax"
	"slices"
	"strings"

	flowpb "github.com/cilium/cilium/api/v1/flow"

	"github.com/fovea-obs/fovea/agent/observer/lookup"
	"github.com/fovea-obs/fovea/internal/nodename"
)

// absentFields are the fields that ask for what no flow of this agent has, or
// what is the same for all. Their values are checked as if it mattered: a
// mistake in them is not to look like an empty answer.
func absentFields() map[string]fieldCompiler {
	return map[string]fieldCompiler{
		"dns_query":        func(c *builder, f *flowpb.FlowFilter) error { return c.regexps(f.DnsQuery) },
		"http_status_code": func(c *builder, f *flowpb.FlowFilter) error { return c.status(f) },
		"http_method":      func(c *builder, f *flowpb.FlowFilter) error { return c.http(f) },
		"http_path":        func(c *builder, f *flowpb.FlowFilter) error { return c.httpRegexps(f, f.HttpPath) },
		"http_url":         func(c *builder, f *flowpb.FlowFilter) error { return c.httpRegexps(f, f.HttpUrl) },
		"http_header":      func(c *builder, f *flowpb.FlowFilter) error { return c.http(f) },
		"node_name":        func(c *builder, f *flowpb.FlowFilter) error { return c.nodeName(f.NodeName) },
		"node_labels":      func(c *builder, f *flowpb.FlowFilter) error { return c.nodeLabels(f.NodeLabels) },
		"trace_id":         func(c *builder, f *flowpb.FlowFilter) error { return c.addConstant(slices.Contains(f.TraceId, "")) },
		"ip_trace_id":      func(c *builder, f *flowpb.FlowFilter) error { return c.addConstant(slices.Contains(f.IpTraceId, 0)) },
		"encrypted": func(c *builder, f *flowpb.FlowFilter) error {
			return c.addConstant(slices.Contains(f.Encrypted, false))
		},
	}
}

func (c *builder) regexps(values []string) error {
	for _, v := range values {
		// Not compiled, as it is not used: that can take far more than its text.
		if _, err := syntax.Parse(v, syntax.Perl); err != nil {
			return c.invalid(v, "a regular expression (RE2)")
		}
	}
	return c.add(never())
}

// http checks that the filter's event types, if any, have room for HTTP.
func (c *builder) http(f *flowpb.FlowFilter) error {
	isAccess := func(t *flowpb.EventTypeFilter) bool { return t.Type == lookup.EventAccess }
	if len(f.EventType) > 0 && !slices.ContainsFunc(f.EventType, isAccess) {
		return c.invalid("event_type without l7", "no event_type, or one with type 129 (l7),")
	}
	return c.add(never())
}

func (c *builder) httpRegexps(f *flowpb.FlowFilter, values []string) error {
	if err := c.http(f); err != nil {
		return err
	}
	return c.regexps(values)
}

func (c *builder) status(f *flowpb.FlowFilter) error {
	for _, v := range f.HttpStatusCode {
		digits, isPrefix := strings.CutSuffix(v, "+")
		if !statusDigits(digits) || (isPrefix && len(digits) > 2) || (!isPrefix && len(digits) != 3) {
			return c.invalid(v, "a status from 100 to 599, or its first digits and +, as 40+,")
		}
	}
	return c.http(f)
}

// statusDigits tells whether a status code can begin with s.
func statusDigits(s string) bool {
	return s != "" && '1' <= s[0] && s[0] <= '5' && strings.Trim(s, "0123456789") == ""
}

// nodeName takes the plain name of this node for one in the cluster default.
func (c *builder) nodeName(values []string) error {
	name, match := c.t.Node, false
	if !strings.Contains(name, "/") {
		name = nodename.DefaultCluster + "/" + name
	}
	for _, v := range values {
		pattern, err := nodeGlob(v)
		if err != nil {
			return c.invalid(v, "cluster/node or node, in which * stands for anything")
		}
		match = match || pattern.MatchString(name)
	}
	return c.addConstant(match)
}

// nodeLabels asks for the labels of the node, of which flows have none.
func (c *builder) nodeLabels(values []string) error {
	selectors, err := c.selectors(values)
	if err != nil {
		return err
	}
	return c.addConstant(selectors.match(nil))
}
