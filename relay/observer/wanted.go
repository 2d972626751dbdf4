package observer

import (
	"fmt"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/fovea-obs/fovea/internal/glob"
)

// wantedNodes tells of which nodes flows can pass the filters of a request: of all if it
// is nil. A filter that asks for the node's name passes none of others. It fails for
// a name that no node can have, as nobody may be left to say so.
func wantedNodes(req *observerpb.GetFlowsRequest) (func(node string) bool, error) {
	in, all, err := nodesOf("whitelist", req.GetWhitelist())
	if err != nil {
		return nil, err
	}
	out, _, err := nodesOf("blacklist", req.GetBlacklist())
	if err != nil {
		return nil, err
	}
	if all && len(out) == 0 {
		return nil, nil
	}
	return func(node string) bool {
		return (all || matchAny(in, node)) && !matchAny(out, node)
	}, nil
}

// nodesOf returns the patterns of filters that ask for nothing but the node's name.
// All tells whether there is a filter that does not ask for it, or none at all. Of a
// whitelist the other filters that ask for it count as well, of a blacklist they do not.
func nodesOf(list string, filters []*flowpb.FlowFilter) (patterns []glob.Node, all bool, err error) {
	all = len(filters) == 0
	for i, f := range filters {
		if len(f.GetNodeName()) == 0 {
			all = true
			continue
		}
		for _, v := range f.GetNodeName() {
			p, err := glob.ParseNode(v)
			if err != nil {
				return nil, false, status.Error(codes.InvalidArgument, fmt.Sprintf(
					"%s[%d].node_name: %q is not valid: cluster/node or node, in which * stands for anything, expected", list, i, v))
			}
			if list == "whitelist" || asksNodeOnly(f) {
				patterns = append(patterns, p)
			}
		}
	}
	return patterns, all, nil
}

// asksNodeOnly tells whether a filter that asks for a node's name asks for nothing else.
func asksNodeOnly(f *flowpb.FlowFilter) bool {
	fields := 0
	f.ProtoReflect().Range(func(protoreflect.FieldDescriptor, protoreflect.Value) bool {
		fields++
		return fields < 2
	})
	return fields == 1 && len(f.ProtoReflect().GetUnknown()) == 0
}

func matchAny(patterns []glob.Node, node string) bool {
	for _, p := range patterns {
		if p.Match(node) {
			return true
		}
	}
	return false
}
