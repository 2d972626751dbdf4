package oracle

import (
	"slices"

	flowpb "github.com/cilium/cilium/api/v1/flow"
)

// otherFields are the fields on the node, on what is above packets, and on what
// flows of the agent do not tell.
func otherFields() map[string]fieldGenerator {
	type filter = flowpb.FlowFilter
	return map[string]fieldGenerator{
		"node_name":        func(g *generator, f *filter) { f.NodeName = g.nodeNames() },
		"node_labels":      func(g *generator, f *filter) { f.NodeLabels = g.selectors(g.flow.GetNodeLabels()) },
		"http_status_code": func(g *generator, f *filter) { f.HttpStatusCode = g.statusCodes() },
		"http_method":      func(g *generator, f *filter) { f.HttpMethod = g.from("GET", "post", "", "X Y") },
		"http_path":        func(g *generator, f *filter) { f.HttpPath = g.regexps() },
		"http_url":         func(g *generator, f *filter) { f.HttpUrl = g.regexps() },
		"http_header": func(g *generator, f *filter) {
			f.HttpHeader = []*flowpb.HTTPHeader{{Key: oneOf(g.Rand, []string{"Host", ""}), Value: "example.com"}}
		},
		"dns_query": func(g *generator, f *filter) { f.DnsQuery = g.regexps() },
		"trace_id":  func(g *generator, f *filter) { f.TraceId = g.from("", "4bf92f3577b34da6a3ce929d0e0e4736", "x") },
		"ip_trace_id": func(g *generator, f *filter) {
			f.IpTraceId = oneOf(g.Rand, [][]uint64{{0}, {1}, {7, 0}, {1 << 63, 3}})
		},
		"encrypted":    func(g *generator, f *filter) { f.Encrypted = g.bools() },
		"experimental": func(g *generator, f *filter) { f.Experimental = g.experimental() },
	}
}

func (g *generator) from(values ...string) []string {
	return g.texts(func() string { return oneOf(g.Rand, values) })
}

func (g *generator) nodeNames() []string {
	return g.texts(func() string {
		return oneOf(g.Rand, []string{
			"node-1.example.com", "NODE-1.*.Com.", " node-1.example.com ", "node-2", "node", "*", "*/*", "/", "/*1*",
			"prod/", "default/", "*o*/", "prod/node-1.example.com", "default/node-1.example.com", "other/*",
			"prod./node-1*", "pr*/*com",
		})
	}, "", " ", ".", "a..", "a../", "a/b/c", "a b", "(", "ä", "/ ")
}

func (g *generator) statusCodes() []string {
	return g.texts(func() string {
		return oneOf(g.Rand, []string{"200", "404", "599", "100", "4+", "40+", "5+"})
	}, "", "+", "600", "099", "40", "404+", "4++", "4x4", "4 +", "1234", "404\n")
}

func (g *generator) regexps() []string {
	return g.texts(func() string {
		return oneOf(g.Rand, []string{"", "/page/[0-9]+", "^/a(b|c)*$", ".*", "kube.*local", `\d+\.example\.com`, "(?i)x"})
	}, "(", "[", "*", "a{2000}", `\`, "(?z)", "x**", `\8`)
}

func (g *generator) experimental() *flowpb.FlowFilter_Experimental {
	e := &flowpb.FlowFilter_Experimental{}
	if chance(g.Rand, 0.9) {
		e.CelExpression = g.texts(func() string { return g.expression(2) }, slices.Concat(invalidExpressions(), costlyExpressions())...)
	}
	return e
}
