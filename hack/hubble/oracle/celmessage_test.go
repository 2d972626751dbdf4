package oracle

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// ofMessages is a condition on the flow as a whole, on messages in it, or on
// what loops make of them.
func (g *generator) ofMessages() string {
	f := g.flow
	side, other := "_flow.source", "_flow.destination"
	if chance(g.Rand, 0.5) {
		side, other = other, side
	}
	kind := oneOf(g.Rand, []string{"exists", "all", "exists_one"})
	return oneOf(g.Rand, []func() string{
		func() string { return side + " == " + other },
		func() string { return side + ".workloads != " + other + ".workloads" },
		func() string { return "_flow == flow.Flow{}" },
		func() string { return "_flow != null && _flow.l4 == Layer4{}" },
		func() string { return "_flow.l4.TCP == TCP{source_port: 80u} || _flow.l4.UDP == flow.UDP{}" },
		func() string { return "_flow.event_type == CiliumEventType{type: 4, sub_type: 5}" },
		func() string { return "type(_flow) == flow.Flow" },
		func() string {
			return "(_flow.is_reply == true ? " + side + " : " + other + ").pod_name == " + strconv.Quote(f.GetSource().GetPodName())
		},
		func() string { return "[" + side + ", " + other + "]." + kind + `(e, e.namespace.startsWith("shop"))` },
		func() string { return `["web-1", "db-0"].` + kind + "(n, n == " + side + ".pod_name)" },
		func() string {
			return side + ".workloads." + kind + `(w, w.kind == "Deployment" && w.name != "coredns")`
		},
		func() string { return side + `.workloads.map(w, w.name) == ["web", "web"]` },
		func() string {
			return fmt.Sprintf(`size(%s.labels.filter(l, l.contains("kube"))) > %d`, side, g.IntN(4))
		},
		func() string { return side + ".labels." + kind + "(a, " + other + ".labels.exists(b, a == b))" },
		func() string { return side + ".labels." + kind + `(_flow, _flow == "k8s:app=web")` },
		func() string { return "[_flow]." + kind + "(f, f." + side[len("_flow."):] + `.namespace == "shop")` },
		func() string {
			return "size(_flow.source_names + _flow.destination_names) > " + strconv.Itoa(g.IntN(3))
		},
		func() string {
			return "_flow.destination_names." + kind + "(n, n.endsWith(" + strconv.Quote(g.part(oneOf(g.Rand, g.u.names))) + "))"
		},
		func() string { return side + `.labels[1] < "k8s:io"` },
		func() string { return "dyn(" + side + `).pod_name == "web-1"` },
		func() string { return "dyn(_flow).verdict == 1 || dyn(_flow).nothing == 2" },
		func() string { return "dyn(_flow.l4).TCP.flags.SYN" },
		func() string {
			return "string(" + side + ".identity).endsWith(" + strconv.Quote(strconv.Itoa(g.IntN(10))) + ")"
		},
		func() string { return fmt.Sprintf("int(_flow.verdict) + %d == 3", g.IntN(3)) },
		func() string { return "int(" + side + ".identity) - 300 < 0" },
		func() string { return "_flow.time.getSeconds() % 2 == 0" },
		func() string { return `_flow.time.getMinutes("Asia/Kolkata") < 30` },
		func() string {
			return fmt.Sprintf("_flow.time + duration(%q) > timestamp(%d)", "90s", f.GetTime().GetSeconds()+80)
		},
		func() string { return "_flow.time.seconds == 1" },
		func() string { return `_flow.extensions.drop.reason in ["IP_CSUM", "TCP_CSUM"]` },
		func() string { return "has(_flow.extensions.drop) || has(_flow.extensions.reply_inferred)" },
		func() string { return `"bytes" in _flow.extensions && _flow.extensions["bytes"] >= 2500.0` },
		func() string { return "_flow.emitter.version.matches('^[0-9.]+$') && _flow.emitter == Emitter{}" },
		func() string { return "_flow.reply || _flow.drop_reason == 134u" },
		func() string { return "_flow.drop_reason_desc == DropReason.INVALID_PACKET_DROPPED" },
		func() string { return "_flow.drop_reason_desc == DropReason.value && true" },
		func() string { return "._flow.IP.ipVersion == IPVersion.IPv4" },
		func() string { return "_flow." + g.path(f.ProtoReflect().Descriptor()) + " == null" },
		func() string { return "has(_flow." + g.path(f.ProtoReflect().Descriptor()) + ")" },
		func() string { return "has(_flow." + g.present(f.ProtoReflect()) + ")" },
	})()
}

// present is the path of a field that a message has, or of one inside it.
func (g *generator) present(m protoreflect.Message) string {
	var fields []protoreflect.FieldDescriptor
	for i := range m.Descriptor().Fields().Len() {
		if d := m.Descriptor().Fields().Get(i); m.Has(d) {
			fields = append(fields, d)
		}
	}
	if len(fields) == 0 {
		return "nothing"
	}
	d := oneOf(g.Rand, fields)
	if d.Kind() != protoreflect.MessageKind || d.IsList() || chance(g.Rand, 0.3) {
		return string(d.Name())
	}
	return string(d.Name()) + "." + g.present(m.Get(d).Message())
}

// costlyExpressions are of forms that nobody can tell the cost of beforehand.
func costlyExpressions() []string {
	return []string{
		"_flow.Summary.matches(_flow.source.pod_name)",
		"_flow.Summary.matches('(a{100}){10}')",
		"{_flow.source.pod_name: true}['web-1']",
	}
}

// costly tells whether an expression is one of them, or makes messages and has a
// loop, be it for another part.
func costly(expression string) bool {
	const message, loop = `\w{`, `\.(exists|all|exists_one|map|filter)\(`
	return slices.Contains(costlyExpressions(), expression) ||
		regexp.MustCompile(message).MatchString(expression) && regexp.MustCompile(loop).MatchString(expression)
}
