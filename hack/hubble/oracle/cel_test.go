package oracle

import (
	"fmt"
	"strconv"
)

// expression makes an expression in CEL that is true or false of a flow, or
// fails on it. It nests so deep.
func (g *generator) expression(depth int) string {
	if depth == 0 {
		return g.condition()
	}
	a, b := g.expression(depth-1), g.expression(depth-1)
	switch g.IntN(8) {
	case 0, 1:
		return "(" + a + ") && (" + b + ")"
	case 2, 3:
		return "(" + a + ") || (" + b + ")"
	case 4:
		return "!(" + a + ")"
	case 5:
		return "(" + g.condition() + ") ? (" + a + ") : (" + b + ")"
	}
	return g.condition()
}

// condition is one that has no others in it.
func (g *generator) condition() string {
	if chance(g.Rand, 0.5) {
		return g.ofMessages()
	}
	f := g.flow
	side, other := "_flow.source", "_flow.destination"
	e := f.GetSource()
	if chance(g.Rand, 0.5) {
		side, other, e = other, side, f.GetDestination()
	}
	layer := "_flow.l4." + oneOf(g.Rand, []string{"TCP", "UDP", "SCTP"})
	port := layer + "." + oneOf(g.Rand, []string{"source_port", "destination_port"})
	compare := oneOf(g.Rand, []string{"==", "!=", "<", "<=", ">", ">="})
	text := oneOf(g.Rand, []string{side + ".pod_name", side + ".namespace", "_flow.Summary", "_flow.IP.source", "_flow.node_name"})
	word := oneOf(g.Rand, []string{e.GetPodName(), e.GetNamespace(), "web", "shop", "SYN", "10.0", "UDP", "", "prod/"})
	return oneOf(g.Rand, []func() string{
		func() string { return "_flow.verdict == Verdict." + f.GetVerdict().String() },
		func() string { return fmt.Sprintf("_flow.verdict %s %d", compare, f.GetVerdict()) },
		func() string { return "_flow.verdict in [Verdict.DROPPED, Verdict.ERROR]" },
		func() string { return fmt.Sprintf("%s %s %du", port, compare, oneOf(g.Rand, g.u.ports)) },
		func() string { return "has(" + layer + ") && " + port + " > 0u" },
		func() string { return layer + " != null && " + port + " < 100u" },
		func() string { return "_flow.l4.TCP.flags." + oneOf(g.Rand, []string{"SYN", "ACK", "FIN"}) },
		func() string {
			return "has(_flow." + oneOf(g.Rand, []string{
				"is_reply", "l4", "l7", "ethernet", "interface", "source_service", "trace_context", "extensions", "uuid",
				"verdict", "drop_reason_desc", "source.labels", "source.pod_name", "destination.workloads", "source_names",
			}) + ")"
		},
		func() string { return "_flow.is_reply == true" },
		func() string { return "_flow.is_reply != null && !_flow.is_reply" },
		func() string {
			return text + "." + oneOf(g.Rand, []string{"startsWith", "endsWith", "contains"}) + "(" + strconv.Quote(word) + ")"
		},
		func() string { return text + `.matches("^[a-z]+-[0-9]+$")` },
		func() string { return fmt.Sprintf("size(%s) %s %d", text, compare, g.IntN(9)) },
		func() string { return side + ".namespace == " + other + ".namespace" },
		func() string { return text + " in [" + strconv.Quote(word) + `, "web-1", "shop"]` },
		func() string { return `"k8s:app=web" in ` + side + ".labels" },
		func() string {
			return side + ".labels." + oneOf(g.Rand, []string{"exists", "all", "exists_one"}) + `(l, l.startsWith("k8s:"))`
		},
		func() string {
			return "_flow.source_names.exists(n, n == " + strconv.Quote(oneOf(g.Rand, g.u.names)) + ")"
		},
		func() string { return fmt.Sprintf("_flow.uuid %s %q", compare, f.GetUuid()) },
		func() string {
			return fmt.Sprintf("_flow.time %s timestamp(%q)", compare, f.GetTime().AsTime().Format("2006-01-02T15:04:05.999999999Z"))
		},
		func() string { return fmt.Sprintf("_flow.event_type.sub_type == %d", f.GetEventType().GetSubType()) },
		func() string {
			return "_flow.traffic_direction == TrafficDirection.INGRESS || _flow.IP.ipVersion == IPVersion.IPv6"
		},
		func() string { return "_flow.extensions.packets > 2.0" },
		func() string { return `_flow.interface.name == "veth2"` },
		// What fails on some flows: no element, no key, less than 0, division by 0.
		func() string { return side + `.workloads[0].kind == "Deployment"` },
		func() string { return `{"shop": true, "default": false}[` + side + ".namespace]" },
		func() string { return side + ".identity - 2u > 100u" },
		func() string { return fmt.Sprintf("10u / (%s.identity %% 3u) > 4u", side) },
		func() string { return "_flow.extensions.drop.location == \"ip_rcv\"" },
		func() string { return "1 / 0 == 1" },
		func() string { return oneOf(g.Rand, []string{"true", "false"}) },
	})()
}

// invalidExpressions are not CEL, or not true or false.
func invalidExpressions() []string {
	return []string{
		"", " ", "1 +", "(", "true)", "_flow", "_flow.verdict", `"x"`, "1", "null", "dyn(true)", "_flow.is_reply",
		"_flow.nothing == 1", "flow.verdict == 1", "nothing", "nothing(1)", "_flow.source.pod_name == 1",
		"_flow.l4.TCP.source_port == 80", "has(_flow)", "_flow.extensions", "_flow.extensions.packets",
		"_flow.source.labels.exists(l)", "true && 1", "true ? true : 1", "!1", "Verdict.NOTHING == 1", "true; true",
	}
}
