package oracle

import (
	"strings"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// masked is the response with what a mask leaves of its flow.
func masked(r *observerpb.GetFlowsResponse, paths []string) *observerpb.GetFlowsResponse {
	if len(paths) == 0 || r.GetFlow() == nil {
		return r
	}
	to := &flowpb.Flow{}
	for _, path := range paths {
		copyPath(to.ProtoReflect(), r.GetFlow().ProtoReflect(), strings.Split(path, "."))
	}
	return &observerpb.GetFlowsResponse{
		NodeName: r.GetNodeName(), Time: r.GetTime(), ResponseTypes: &observerpb.GetFlowsResponse_Flow{Flow: to},
	}
}

// copyPath copies one field, with the messages that it is in, as far as from
// has them. What it copies is not to be changed.
func copyPath(to, from protoreflect.Message, path []string) {
	field := from.Descriptor().Fields().ByName(protoreflect.Name(path[0]))
	switch {
	case !from.Has(field):
	case len(path) == 1:
		to.Set(field, from.Get(field))
	default:
		copyPath(to.Mutable(field).Message(), from.Get(field).Message(), path[1:])
	}
}

// paths makes a field mask, mostly valid.
func (g *generator) paths() []string {
	var out []string
	for range g.IntN(4) {
		path := g.path((&flowpb.Flow{}).ProtoReflect().Descriptor())
		switch {
		case chance(g.Rand, 0.01):
			path = oneOf(g.Rand, []string{
				"", ".", "*", "nothing", "Source", "source.", ".source", "source.podName", "source.nothing",
				"source.labels.k8s", "source.workloads.name", "uuid.x", "verdict.value", "flow.uuid", "l4.protocol", "uuid,IP",
			})
		case chance(g.Rand, 0.5):
			// Of fields that flows of the agent have.
			path = oneOf(g.Rand, []string{
				"uuid", "time", "time.nanos", "verdict", "IP.source", "IP", "l4.TCP", "l4.TCP.flags.SYN", "l4.UDP.source_port",
				"l4", "source.pod_name", "source.labels", "source", "destination.workloads", "destination.identity", "is_reply",
				"is_reply.value", "event_type.type", "event_type", "interface.name", "interface", "ethernet.source",
				"extensions", "extensions.type_url", "Summary", "emitter.name", "emitter", "source_service.name",
				"node_name", "Type", "drop_reason_desc", "source_names",
			})
		}
		out = append(out, path)
		if above, _, nested := strings.Cut(path, "."); nested && chance(g.Rand, 0.1) {
			out = append(out, above)
		}
	}
	g.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// path makes one to any field of a message or of one inside it.
func (g *generator) path(d protoreflect.MessageDescriptor) string {
	field := d.Fields().Get(g.IntN(d.Fields().Len()))
	path := string(field.Name())
	if field.Kind() == protoreflect.MessageKind && !field.IsList() && !field.IsMap() && chance(g.Rand, 0.7) {
		path += "." + g.path(field.Message())
	}
	return path
}
